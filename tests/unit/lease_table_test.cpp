// SPDX-License-Identifier: MIT
//
// Leases read from tags: which links count (I3), which leases are over, and that the table depends on the links alone.

#include "daemon/core/ending.hpp"
#include "daemon/core/lease_table.hpp"

#include "contract/hold.hpp"
#include "tests/catch.hpp"

#include <algorithm>

using namespace qemutap;
using namespace std::chrono_literals;

namespace {

constexpr Moment start = 1000s;

Link tap(int ifindex, unsigned position, unsigned count, Hold hold, const std::string &lease = "0123456789abcdef")
{
    TapTag tag;
    tag.lease = lease;
    tag.position = position;
    tag.count = count;
    tag.index = static_cast<unsigned>(ifindex);
    tag.ifindex = ifindex;
    tag.uid = 1000;
    tag.hold = hold;
    Link link;
    link.ifindex = ifindex;
    link.name = "tap" + std::to_string(ifindex);
    link.alias = encode(tag);
    link.is_tap = true;
    link.up = true;
    link.carrier = hold == Hold::fd;
    link.persistent = hold == Hold::name;
    link.group = live_group;
    return link;
}

Link with_idle_timeout(Link link, std::uint64_t seconds)
{
    auto tag = *decode_tag(link.alias);
    tag.idle_timeout_seconds = seconds;
    link.alias = encode(tag);
    return link;
}

Link attended(Link link, const std::string &attendant)
{
    auto tag = *decode_tag(link.alias);
    tag.attendant = attendant;
    link.alias = encode(tag);
    return link;
}

std::vector<int> doomed(const LeaseTable &table, Moment now)
{
    std::vector<int> ifindexes;
    for (const auto &[id, lease] : table.leases())
        for (const auto &[position, ifindex] : lease.taps)
            if (is_over(table, lease, now) || is_abandoned(table.tap(ifindex)))
                ifindexes.push_back(ifindex);
    std::sort(ifindexes.begin(), ifindexes.end());
    return ifindexes;
}

} // namespace

TEST_CASE("I3 only ours: a copied alias, another kind of link and a foreign alias are no taps of a lease")
{
    auto copy = tap(8, 0, 1, Hold::name);
    copy.ifindex = 9;
    auto dummy = tap(8, 0, 1, Hold::name);
    dummy.is_tap = false;
    auto foreign = tap(8, 0, 1, Hold::name);
    foreign.alias = "my tap";
    LeaseTable table;
    for (const auto &link : {copy, dummy, foreign}) {
        CHECK_FALSE(own_tag(link));
        table.update(link.ifindex, &link, start);
    }
    CHECK(table.tap_count() == 0);
    CHECK(doomed(table, start).empty());
}

TEST_CASE("taps with one lease id are one lease, in their positions")
{
    LeaseTable table;
    const auto second = tap(11, 1, 2, Hold::fd);
    const auto first = tap(10, 0, 2, Hold::fd);
    table.update(11, &second, start);
    table.update(10, &first, start);
    const auto *lease = table.find("0123456789abcdef");
    REQUIRE(lease);
    CHECK(lease->taps == std::map<unsigned, int>{{0, 10}, {1, 11}});
    CHECK(table.tap_count(1000) == 2);
    CHECK(table.tap_count(1001) == 0);
    CHECK(table.index_leased(Profile::standard, 10));
    CHECK_FALSE(table.index_leased(Profile::standard, 12));
    CHECK(doomed(table, start).empty());
}

TEST_CASE("after a link or its tag is gone the table is as if the link had never existed")
{
    LeaseTable table;
    auto link = tap(10, 0, 1, Hold::fd);
    table.update(10, &link, start);
    const bool stripped = GENERATE(false, true);
    link.alias.clear();
    table.update(10, stripped ? &link : nullptr, start);
    CHECK(table.find("0123456789abcdef") == nullptr);
    CHECK(table.tap_count() == 0);
    CHECK(table.tap_count(1000) == 0);
    CHECK_FALSE(table.index_leased(Profile::standard, 10));
}

TEST_CASE("a second link that claims a position of a lease is not part of it while the first one exists")
{
    LeaseTable table;
    const auto first = tap(10, 0, 1, Hold::name);
    const auto claimant = tap(11, 0, 1, Hold::name);
    table.update(10, &first, start);
    table.update(11, &claimant, start);
    CHECK(table.find("0123456789abcdef")->taps == std::map<unsigned, int>{{0, 10}});
    CHECK(table.tap_count() == 1);
    CHECK(doomed(table, start).empty());
    SECTION("the first is deleted")
    {
        table.update(10, nullptr, start);
        CHECK(table.find("0123456789abcdef")->taps == std::map<unsigned, int>{{0, 11}});
    }
    SECTION("the claimant is deleted, then the first")
    {
        table.update(11, nullptr, start);
        table.update(10, nullptr, start);
        CHECK(table.find("0123456789abcdef") == nullptr);
    }
    SECTION("the claimant claims another position, then the first is deleted")
    {
        const auto elsewhere = tap(11, 0, 1, Hold::name, "fedcba9876543210");
        table.update(11, &elsewhere, start);
        table.update(10, nullptr, start);
        CHECK(table.find("0123456789abcdef") == nullptr);
        CHECK(table.find("fedcba9876543210")->taps == std::map<unsigned, int>{{0, 11}});
    }
}

TEST_CASE("I1 crash-safe: every tap of an incomplete lease held by name is doomed")
{
    LeaseTable table;
    const auto first = tap(10, 0, 3, Hold::name);
    const auto third = tap(12, 2, 3, Hold::name);
    table.update(10, &first, start);
    table.update(12, &third, start);
    CHECK(doomed(table, start) == std::vector<int>{10, 12});
}

TEST_CASE("a complete lease held by name is doomed when another program deletes one of its taps")
{
    LeaseTable table;
    const auto first = tap(10, 0, 2, Hold::name);
    const auto second = tap(11, 1, 2, Hold::name);
    table.update(10, &first, start);
    table.update(11, &second, start);
    CHECK(doomed(table, start).empty());
    table.update(11, nullptr, start);
    CHECK(doomed(table, start) == std::vector<int>{10});
}

TEST_CASE("a lease held by descriptors continues with its remaining taps, because QEMU may unplug a NIC")
{
    LeaseTable table;
    const auto second = tap(11, 1, 2, Hold::fd);
    table.update(11, &second, start);
    CHECK(doomed(table, start).empty());
}

TEST_CASE("I6 the end is the daemon's: a tap that its holder made persistent and closed is doomed")
{
    LeaseTable table;
    auto link = tap(10, 0, 1, Hold::fd);
    link.persistent = true;
    table.update(10, &link, start);
    CHECK(doomed(table, start).empty()); // still held
    link.carrier = false;
    table.update(10, &link, start);
    CHECK(doomed(table, start) == std::vector<int>{10});
}

TEST_CASE("a holder that turns the carrier off but keeps the tap open keeps it")
{
    LeaseTable table;
    auto link = tap(10, 0, 1, Hold::fd);
    link.carrier = false;
    table.update(10, &link, start);
    CHECK(doomed(table, start).empty());
}

TEST_CASE("I1 crash-safe: a deletion that a crash interrupted is finished")
{
    LeaseTable table;
    auto link = tap(10, 0, 1, Hold::name);
    link.up = false;
    link.group = 0x12345678;
    table.update(10, &link, start);
    CHECK(doomed(table, start) == std::vector<int>{10});
}

TEST_CASE("a tap that another program set down or moved to another group still belongs to its lease")
{
    LeaseTable table;
    auto link = tap(10, 0, 1, Hold::name);
    link.up = false;
    table.update(10, &link, start);
    link.up = true;
    link.group = 5;
    table.update(10, &link, start);
    CHECK(doomed(table, start).empty());
}

TEST_CASE("a lease is doomed when none of its taps had a carrier for its idle timeout")
{
    LeaseTable table;
    auto first = with_idle_timeout(tap(10, 0, 2, Hold::name), 60);
    auto second = with_idle_timeout(tap(11, 1, 2, Hold::name), 60);
    table.update(10, &first, start);
    table.update(11, &second, start);
    CHECK(table.next_deadline() == start + 60s);

    second.carrier = true; // QEMU opens one of the taps
    table.update(11, &second, start + 30s);
    CHECK_FALSE(table.next_deadline());
    CHECK(doomed(table, start + 600s).empty());

    second.carrier = false;
    table.update(11, &second, start + 600s);
    CHECK(table.next_deadline() == start + 660s);
    CHECK(doomed(table, start + 659s).empty());
    CHECK(doomed(table, start + 660s) == std::vector<int>{10, 11});
}

TEST_CASE("other changes of an idle lease do not restart its timeout")
{
    LeaseTable table;
    auto link = with_idle_timeout(tap(10, 0, 1, Hold::name), 60);
    table.update(10, &link, start);
    link.name = "renamed0";
    table.update(10, &link, start + 59s);
    CHECK(table.next_deadline() == start + 60s);
    table.update(10, nullptr, start + 59s);
    CHECK_FALSE(table.next_deadline());
}

TEST_CASE("a lease without an idle timeout never times out")
{
    LeaseTable table;
    auto link = tap(10, 0, 1, Hold::name);
    table.update(10, &link, start);
    CHECK_FALSE(table.next_deadline());
    CHECK(doomed(table, start + std::chrono::hours{24 * 365 * 10}).empty());
}

TEST_CASE("a lease's attendant is known, and one that is gone deserts all of its taps and no others")
{
    const std::string alice = ":1.5@0123abcd";
    const std::string bob = ":1.6@0123abcd";
    const auto of_alice = attended(tap(10, 0, 2, Hold::name, "00000000000000aa"), alice);
    const auto second_of_alice = attended(tap(11, 1, 2, Hold::name, "00000000000000aa"), alice);
    const auto more_of_alice = attended(tap(12, 0, 1, Hold::name, "00000000000000bb"), alice);
    const auto of_bob = attended(tap(13, 0, 1, Hold::name, "00000000000000cc"), bob);
    const auto nobodys = tap(14, 0, 1, Hold::name, "00000000000000dd");
    LeaseTable table;
    table.update(14, &nobodys, start);
    CHECK_FALSE(table.has_attended());
    for (const auto &link : {of_alice, second_of_alice, more_of_alice, of_bob})
        table.update(link.ifindex, &link, start);
    CHECK(table.has_attended());
    CHECK(doomed(table, start).empty());

    CHECK(table.attended_by(alice) == std::set<int>{10, 11, 12});
    CHECK(table.attended_by(bob) == std::set<int>{13});
    CHECK(table.attended_by("").empty());
    CHECK(table.attended_by(":1.5@0123abce").empty());

    CHECK(table.deserted({alice, bob, ":1.7@0123abcd"}).empty());
    CHECK(table.deserted({alice}) == std::set<int>{13});
    CHECK(table.deserted({bob}) == std::set<int>{10, 11, 12});
    CHECK(table.deserted({}) == std::set<int>{10, 11, 12, 13});
    // The same names on another bus are other connections.
    CHECK(table.deserted({":1.5@ffffffff", ":1.6@ffffffff"}) == std::set<int>{10, 11, 12, 13});

    for (const int ifindex : {10, 11, 12})
        table.update(ifindex, nullptr, start);
    CHECK(table.attended_by(alice).empty());
    CHECK(table.has_attended());
    table.update(13, nullptr, start);
    CHECK_FALSE(table.has_attended());
}

TEST_CASE("the same index by runqemu's rule and by the standard rule is two different ones")
{
    auto link = tap(10, 0, 1, Hold::name);
    auto tag = *decode_tag(link.alias);
    tag.profile = Profile::runqemu;
    link.alias = encode(tag);
    LeaseTable table;
    table.update(10, &link, start);
    CHECK(table.index_leased(Profile::runqemu, 10));
    CHECK_FALSE(table.index_leased(Profile::standard, 10));
    table.update(10, nullptr, start);
    CHECK_FALSE(table.index_leased(Profile::runqemu, 10));
}

TEST_CASE("I8 bounded: a lease is over as a whole if one of its taps has more queues than were granted")
{
    const auto hold = GENERATE(Hold::name, Hold::fd);
    const auto with_queues = [&](int ifindex, unsigned position, unsigned attached, unsigned disabled) {
        auto link = tap(ifindex, position, 2, hold);
        auto tag = *decode_tag(link.alias);
        tag.queues = 2;
        link.alias = encode(tag);
        link.queues = attached;
        link.disabled_queues = disabled;
        return link;
    };
    LeaseTable table;
    const auto update = [&](const Link &link) { table.update(link.ifindex, &link, start); };
    update(with_queues(7, 0, 2, 0));
    update(with_queues(8, 1, 0, 2));
    CHECK(doomed(table, start).empty());
    update(with_queues(8, 1, 1, 2));
    CHECK(doomed(table, start) == std::vector<int>{7, 8});
    update(with_queues(8, 1, 1, 1));
    CHECK(doomed(table, start).empty());
}
