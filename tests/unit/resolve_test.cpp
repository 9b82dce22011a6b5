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

namespace {

LeaseGrant lease_of(uid_t uid, const std::string &id, const std::string &label, unsigned first_index)
{
    auto lease = lease_of(id, label, first_index);
    lease.uid = uid;
    return lease;
}

// Taps: root's 7 and 8, 9 and 10, 11 and 12; alice's 13 and 14, 15 and 16; bob's 17 and 18, 19 and 20, 21 and 22.
const std::vector<LeaseGrant> everybodys{
    lease_of(0, "00000000000000a1", "web", 7),    lease_of(0, "00000000000000a2", "twice", 9),
    lease_of(0, "00000000000000a3", "twice", 11), lease_of(1000, "00000000000000b1", "web", 13),
    lease_of(1000, "00000000000000b2", "db", 15), lease_of(1001, "00000000000000c1", "web", 17),
    lease_of(1001, "00000000000000c2", "db", 19), lease_of(1001, "00000000000000c3", "tap13", 21),
};

std::string for_root(const std::string &name)
{
    return resolve_for_root(everybodys, 0, name).lease;
}

} // namespace

TEST_CASE("resolve for root: its own label is meant, whoever else has the label")
{
    CHECK(for_root("web") == "00000000000000a1");
    CHECK(for_root("tap8") == "00000000000000a1");
}

TEST_CASE("resolve for root: an id is that lease, whosever it is and whoever has it for a label")
{
    for (const auto &lease : everybodys)
        CHECK(for_root(lease.lease) == lease.lease);
    auto forged = everybodys;
    forged[0].label = "00000000000000b1";
    CHECK(resolve_for_root(forged, 0, "00000000000000b1").lease == "00000000000000b1");
}

TEST_CASE("resolve for root: two leases of its own are ambiguous, and only they are named")
{
    const auto error = tap_error_of([] { for_root("twice"); });
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(std::string{error.what()} ==
          "\"twice\" names 2 leases; give one of 00000000000000a2 (uid 0) 00000000000000a3 (uid 0)");
}

TEST_CASE("resolve for root: another's tap is that device, and no user's label stands in its way")
{
    CHECK(for_root("tap13") == "00000000000000b1");
    CHECK(for_root("tap22") == "00000000000000c3");
}

TEST_CASE(
    "resolve for root: a label of one other user's lease is that one, and of several it is none, with their owners")
{
    const std::vector<LeaseGrant> one{everybodys[0], everybodys[4]};
    CHECK(resolve_for_root(one, 0, "db").lease == "00000000000000b2");
    const auto error = tap_error_of([] { for_root("db"); });
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(std::string{error.what()} ==
          "\"db\" names 2 leases; give one of 00000000000000b2 (uid 1000) 00000000000000c2 (uid 1001)");
}

TEST_CASE("resolve for root: what names nothing is no such lease of anybody")
{
    for (const std::string name : {"", "nothing", "tap70"}) {
        const auto error = tap_error_of([&] { for_root(name); });
        CHECK(error.code() == ErrorCode::no_such_lease);
        CHECK(std::string{error.what()} ==
              "there is no lease, label or tap \"" + name + "\"; see qemu-tapctl list --all");
    }
}
