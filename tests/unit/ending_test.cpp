// SPDX-License-Identifier: MIT
//
// The states that a lease passes as it ends, each step by itself. tests/unit/lease_table_test.cpp has the rules.

#include "daemon/core/ending.hpp"

#include "tests/catch.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

using namespace qemutap;
using namespace std::chrono_literals;

namespace {

constexpr Moment start = 1000s;
using Taps = std::vector<int>;
using ByOwner = std::map<uid_t, Taps>;

const std::string first_lease = "00000000000000aa";
const std::string second_lease = "00000000000000bb";

Link tap(int ifindex, unsigned position, unsigned count, const std::string &lease, uid_t uid = 1000)
{
    const TapTag tag{.lease = lease,
                     .position = position,
                     .count = count,
                     .index = static_cast<unsigned>(ifindex),
                     .ifindex = ifindex,
                     .uid = uid,
                     .hold = Hold::name,
                     .mac = {},
                     .attendant = {},
                     .born_seconds = {},
                     .label = {}};
    Link link;
    link.ifindex = ifindex;
    link.name = "tap" + std::to_string(ifindex);
    link.alias = encode(tag);
    link.is_tap = true;
    link.up = true;
    link.persistent = true;
    link.group = live_group;
    return link;
}

struct Bench {
    LeaseTable table;
    Ending ending{table};

    void hear(const Link &link, const std::string &lease)
    {
        table.update(link.ifindex, &link, start);
        ending.note_changed(lease);
    }
};

} // namespace

TEST_CASE("a lease that did not change is not looked at, however much it is over")
{
    Bench bench;
    const auto half = tap(10, 0, 2, first_lease);
    bench.table.update(10, &half, start);
    CHECK(bench.ending.doom(start).empty());
    CHECK(bench.ending.condemn_doomed(start).empty());
    bench.ending.note_changed(first_lease);
    CHECK(bench.ending.doom(start) == Taps{10});
}

TEST_CASE("a doomed tap stays if the kernel shows meanwhile that it need not go")
{
    Bench bench;
    bench.hear(tap(10, 0, 2, first_lease), first_lease);
    CHECK(bench.ending.doom(start) == Taps{10});
    bench.hear(tap(11, 1, 2, first_lease), first_lease);
    CHECK(bench.ending.condemn_doomed(start).empty());
}

TEST_CASE("condemned taps come by their owners, and each until it is gone or the sweep is done")
{
    Bench bench;
    bench.hear(tap(10, 0, 1, first_lease), first_lease);
    bench.hear(tap(11, 0, 1, second_lease, 1001), second_lease);
    CHECK(bench.ending.doom(start).empty());
    bench.ending.condemn({10, 11, 12}); // 12 is no tap of the daemon's
    const ByOwner both{{1000, {10}}, {1001, {11}}};
    CHECK(bench.ending.condemn_doomed(start) == both);
    CHECK(bench.ending.condemn_doomed(start) == both); // a sweep that failed begins with them again
    bench.table.update(10, nullptr, start);
    CHECK(bench.ending.condemn_doomed(start) == ByOwner{{1001, {11}}});
    bench.ending.report();
    CHECK(bench.ending.condemn_doomed(start).empty());
}

TEST_CASE("a sweep that fails keeps its suspects, and one that is done forgets them")
{
    Bench bench;
    bench.hear(tap(10, 0, 2, first_lease), first_lease);
    CHECK(bench.ending.doom(start) == Taps{10});
    CHECK(bench.ending.doom(start) == Taps{10});
    bench.ending.report();
    CHECK(bench.ending.doom(start).empty());
}

TEST_CASE("a lease whose idle timeout is over is a suspect without any change")
{
    Bench bench;
    auto idle = tap(10, 0, 1, first_lease);
    auto tag = *decode_tag(idle.alias);
    tag.idle_timeout_seconds = 60;
    idle.alias = encode(tag);
    bench.hear(idle, first_lease);
    bench.ending.report();
    CHECK(bench.ending.doom(start + 59s).empty());
    CHECK(bench.ending.doom(start + 60s) == Taps{10});
}

TEST_CASE("each removed tap is reported once, and none of a lease that was never given")
{
    Bench bench;
    const auto of = [](const std::string &lease) {
        return EndedTap{.name = "tap7", .tag = *decode_tag(tap(7, 0, 1, lease).alias), .queues = 1};
    };
    bench.ending.note_removed(of(first_lease));
    bench.ending.note_removed(of(second_lease));
    bench.ending.forget_removed(second_lease);
    const auto reported = bench.ending.report();
    REQUIRE(reported.size() == 1);
    CHECK(reported.front().tag.lease == first_lease);
    CHECK(bench.ending.report().empty());
}

TEST_CASE("a lease that changes as a sweep ends is a suspect of the next one")
{
    Bench bench;
    CHECK(bench.ending.doom(start).empty());
    bench.hear(tap(10, 0, 2, first_lease), first_lease);
    bench.ending.report();
    CHECK(bench.ending.doom(start) == Taps{10});
}
