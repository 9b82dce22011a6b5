// SPDX-License-Identifier: MIT
//
// A name means one lease, or it is said why not.

#include "client/resolve.hpp"

#include "tests/catch.hpp"
#include "tests/unit/outcome.hpp"
#include "tests/unit/sample_lease.hpp"

#include <string>
#include <vector>

using namespace qemutap;

namespace {

LeaseGrant lease_of(const std::string &id, const std::string &label, unsigned first_index)
{
    auto lease = sample_lease(2, first_index);
    lease.lease = id;
    lease.label = label;
    return lease;
}

// Held taps: 7 and 8, 9 and 10, 11 and 12, 13 and 14.
const std::vector<LeaseGrant> leases{
    lease_of("00000000000000aa", "ci", 7),
    lease_of("00000000000000bb", "twice", 9),
    lease_of("00000000000000cc", "twice", 11),
    lease_of("00000000000000dd", "", 13),
};

} // namespace

TEST_CASE("resolve: a lease is meant by its id, with a label and without one")
{
    for (std::size_t i = 0; i < leases.size(); ++i)
        CHECK(&resolve(leases, leases[i].lease) == &leases[i]);
}

TEST_CASE("resolve: a lease is meant by its label")
{
    CHECK(&resolve(leases, "ci") == &leases[0]);
}

TEST_CASE("resolve: a lease is meant by any of its taps")
{
    CHECK(&resolve(leases, "tap7") == &leases[0]);
    CHECK(&resolve(leases, "tap8") == &leases[0]);
    CHECK(&resolve(leases, "tap14") == &leases[3]);
}

TEST_CASE("resolve: a label that several leases have is refused, and each is named by its id")
{
    const auto error = tap_error_of([] { resolve(leases, "twice"); });
    const std::string text = error.what();
    CAPTURE(text);
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(contains(text, "\"twice\""));
    CHECK(contains(text, "00000000000000bb"));
    CHECK(contains(text, "00000000000000cc"));
    CHECK_FALSE(contains(text, "00000000000000aa"));
    CHECK_FALSE(contains(text, "00000000000000dd"));
}

TEST_CASE("resolve: a label of one lease that is a tap of another is refused, as both are meant")
{
    const std::vector<LeaseGrant> crossed{lease_of("00000000000000aa", "tap9", 7), lease_of("00000000000000bb", "", 9)};
    CHECK(tap_error_of([&] { resolve(crossed, "tap9"); }).code() == ErrorCode::invalid_argument);
}

TEST_CASE("resolve: a label that is the lease's own tap is that lease")
{
    const std::vector<LeaseGrant> one{lease_of("00000000000000aa", "tap7", 7)};
    CHECK(&resolve(one, "tap7") == &one[0]);
}

TEST_CASE("resolve: an id is that lease's, whichever other lease has it for a label")
{
    const std::vector<LeaseGrant> before{lease_of("00000000000000aa", "00000000000000bb", 7),
                                         lease_of("00000000000000bb", "", 9)};
    CHECK(&resolve(before, "00000000000000bb") == &before[1]);
    const std::vector<LeaseGrant> behind{before[1], before[0]};
    CHECK(&resolve(behind, "00000000000000bb") == &behind[0]);
}

TEST_CASE("resolve: what names nothing is no such lease, and the text says what was looked for")
{
    for (const std::string name : {"", "nothing", "tap", "tap70", "tap07", "TAP7", "ci ", "00000000000000a",
                                   "00000000000000aaa", "00000000000000AA"}) {
        CAPTURE(name);
        const auto error = tap_error_of([&] { resolve(leases, name); });
        CHECK(error.code() == ErrorCode::no_such_lease);
        CHECK(contains(error.what(), "\"" + name + "\""));
    }
    CHECK(tap_error_of([] { resolve({}, "ci"); }).code() == ErrorCode::no_such_lease);
}

TEST_CASE("resolve: what was looked for is quoted where it could write to a terminal")
{
    const std::string text = tap_error_of([] { resolve(leases, "\x1b[2J\n"); }).what();
    CHECK(contains(text, R"("\x1b[2J\x0a")"));
    CHECK(text.find_first_of("\x1b\n") == std::string::npos);
}
