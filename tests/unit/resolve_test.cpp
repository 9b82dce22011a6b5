// SPDX-License-Identifier: MIT
//
// A name means one lease, or the error says why not.

#include "client/verbs/resolve.hpp"

#include "common/error.hpp"
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

// These leases have the taps 7 and 8, 9 and 10, 11 and 12, 13 and 14.
const std::vector<LeaseGrant> leases{
    lease_of("00000000000000aa", "ci", 7),
    lease_of("00000000000000bb", "twice", 9),
    lease_of("00000000000000cc", "twice", 11),
    lease_of("00000000000000dd", "", 13),
};

} // namespace

TEST_CASE("resolve: an id means its lease, with a label and without one")
{
    for (std::size_t i = 0; i < leases.size(); ++i)
        CHECK(&resolve(leases, leases[i].lease) == &leases[i]);
}

TEST_CASE("resolve: a label means its lease")
{
    CHECK(&resolve(leases, "ci") == &leases[0]);
}

TEST_CASE("resolve: a tap means its lease")
{
    CHECK(&resolve(leases, "tap7") == &leases[0]);
    CHECK(&resolve(leases, "tap8") == &leases[0]);
    CHECK(&resolve(leases, "tap14") == &leases[3]);
}

TEST_CASE("resolve: a label of several leases is refused, and the error lists their ids")
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

TEST_CASE("resolve: a name that is one lease's label and another's tap is refused as ambiguous")
{
    const std::vector<LeaseGrant> crossed{lease_of("00000000000000aa", "tap9", 7), lease_of("00000000000000bb", "", 9)};
    CHECK(tap_error_of([&] { resolve(crossed, "tap9"); }).code() == ErrorCode::invalid_argument);
}

TEST_CASE("resolve: a label that is the name of the lease's own tap means that lease")
{
    const std::vector<LeaseGrant> one{lease_of("00000000000000aa", "tap7", 7)};
    CHECK(&resolve(one, "tap7") == &one[0]);
}

TEST_CASE("resolve: an id means its lease, even if another lease has it as label")
{
    const std::vector<LeaseGrant> before{lease_of("00000000000000aa", "00000000000000bb", 7),
                                         lease_of("00000000000000bb", "", 9)};
    CHECK(&resolve(before, "00000000000000bb") == &before[1]);
    const std::vector<LeaseGrant> behind{before[1], before[0]};
    CHECK(&resolve(behind, "00000000000000bb") == &behind[0]);
}

TEST_CASE("resolve: an unknown name gives no such lease, and the error repeats the name")
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

TEST_CASE("resolve: the repeated name is quoted, so that it cannot control a terminal")
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

// Root has the taps 7 to 12 in three leases, alice 13 to 16 in two, bob 17 to 22 in three.
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

TEST_CASE("resolve for root: a label means root's own lease, whichever other user has the label")
{
    CHECK(for_root("web") == "00000000000000a1");
    CHECK(for_root("tap8") == "00000000000000a1");
}

TEST_CASE("resolve for root: an id means its lease, whoever owns it and whichever lease has it as label")
{
    for (const auto &lease : everybodys)
        CHECK(for_root(lease.lease) == lease.lease);
    auto forged = everybodys;
    forged[0].label = "00000000000000b1";
    CHECK(resolve_for_root(forged, 0, "00000000000000b1").lease == "00000000000000b1");
}

TEST_CASE("resolve for root: a label of two of root's own leases is ambiguous, and the error names only these")
{
    const auto error = tap_error_of([] { for_root("twice"); });
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(std::string{error.what()} ==
          "\"twice\" names 2 leases; give one of 00000000000000a2 (uid 0) 00000000000000a3 (uid 0)");
}

TEST_CASE("resolve for root: a tap of another user means that tap, even if a user has its name as label")
{
    CHECK(for_root("tap13") == "00000000000000b1");
    CHECK(for_root("tap22") == "00000000000000c3");
}

TEST_CASE("resolve for root: a label of one other lease means that lease; of several it is refused with their owners")
{
    const std::vector<LeaseGrant> one{everybodys[0], everybodys[4]};
    CHECK(resolve_for_root(one, 0, "db").lease == "00000000000000b2");
    const auto error = tap_error_of([] { for_root("db"); });
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(std::string{error.what()} ==
          "\"db\" names 2 leases; give one of 00000000000000b2 (uid 1000) 00000000000000c2 (uid 1001)");
}

TEST_CASE("resolve for root: an unknown name gives no such lease")
{
    for (const std::string name : {"", "nothing", "tap70"}) {
        const auto error = tap_error_of([&] { for_root(name); });
        CHECK(error.code() == ErrorCode::no_such_lease);
        CHECK(std::string{error.what()} ==
              "there is no lease, label or tap \"" + name + "\"; see qemu-tapctl list --all");
    }
}
