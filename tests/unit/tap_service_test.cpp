// SPDX-License-Identifier: MIT
//
// The order of work, with the kernel's ports in memory: what is given, what is undone when step k fails, for every k,
// and how leases end.

#include "daemon/core/tap_service.hpp"

#include "common/error.hpp"
#include "common/ipv4.hpp"
#include "common/mac_address.hpp"
#include "contract/hold.hpp"
#include "tests/catch.hpp"
#include "tests/unit/fake_host.hpp"
#include "tests/unit/outcome.hpp"

#include <set>
#include <string>

using namespace qemutap;
using namespace std::chrono_literals;

namespace {

PlanSettings from_seven()
{
    PlanSettings settings;
    settings.exclusions.clear();
    return settings;
}

struct Bench {
    AddressPlan plan;
    Limits limits;
    FakeHost host;
    Moment now = 1000s;
    unsigned ids = 0;
    TapService service;

    explicit Bench(PlanSettings settings = from_seven(), Limits with = {})
        : plan{std::move(settings), 1},
          limits{with},
          service{plan,
                  limits,
                  host,
                  host,
                  host,
                  [this] {
                      auto digits = std::to_string(++ids);
                      return std::string(16 - digits.size(), '0') + digits;
                  },
                  [this] { return now; }}
    {}

    Acquired acquire(const TapRequest &request, uid_t uid = 1000) { return service.acquire(uid, request); }
    LeaseGrant acquire_attended(TapRequest request, const std::string &attendant)
    {
        request.attended = true;
        return service.acquire(1000, request, attendant).grant;
    }

    ErrorCode refusal(const TapRequest &request, uid_t uid = 1000)
    {
        try {
            acquire(request, uid);
        } catch (const TapError &error) {
            text = error.what();
            return error.code();
        }
        FAIL("the request was granted");
        return ErrorCode::failed;
    }
    std::string text;
};

TapRequest request(unsigned count = 1, Hold hold = Hold::fd)
{
    TapRequest made;
    made.count = count;
    made.hold = hold;
    return made;
}

std::vector<std::string> names(const LeaseGrant &grant)
{
    std::vector<std::string> names;
    for (const auto &tap : grant.taps)
        names.push_back(tap.name);
    return names;
}

using Names = std::vector<std::string>;
using Marks = std::set<std::string>;

} // namespace

TEST_CASE("a lease of two taps is two complete taps with the lowest free indexes")
{
    Bench bench;
    const auto acquired = bench.acquire(request(2));
    CHECK(acquired.descriptors.size() == 2);
    const auto &grant = acquired.grant;
    CHECK(grant.lease == "0000000000000001");
    CHECK(grant.uid == 1000);
    REQUIRE(grant.taps.size() == 2);
    CHECK(grant.taps[0] ==
          TapGrant{"tap7", 7, {0xc0a80701}, {0xc0a80702}, 24, *MacAddress::parse("52:54:00:01:00:07"), 1, false});
    CHECK(grant.taps[1].name == "tap8");
    CHECK(bench.service.leases({}) == std::vector<LeaseGrant>{grant});
}

TEST_CASE("by default runqemu's network is avoided, even if no device has an address there")
{
    Bench bench{PlanSettings{}};
    CHECK(names(bench.acquire(request(2)).grant) == Names{"tap8", "tap9"});
}

TEST_CASE("the steps are in an order that makes a crash harmless")
{
    Bench bench;
    bench.acquire(request(2, Hold::name));
    CHECK(bench.host.journal == std::vector<std::string>{"create tap7", "configure tap7", "address tap7", "up tap7",
                                                         "create tap8", "configure tap8", "address tap8", "up tap8",
                                                         "persist tap7", "persist tap8"});
}

TEST_CASE("I9 whole or nothing: whichever step fails, no trace is left and no end is reported")
{
    const auto hold = GENERATE(Hold::fd, Hold::name);
    Bench clean;
    auto asked = request(3, hold);
    asked.queues = 2;
    clean.acquire(asked);
    const unsigned steps = clean.host.calls;
    CHECK(steps == (hold == Hold::name ? 15 : 12));
    for (unsigned step = 1; step <= steps; ++step) {
        Bench bench;
        bench.host.fail_at = step;
        REQUIRE_THROWS_AS(bench.acquire(asked), std::system_error);
        bench.host.fail_at = 0;
        REQUIRE(bench.host.take_in_events().links().empty());
        REQUIRE(bench.host.marks.empty());
        REQUIRE_FALSE(bench.host.state().occupied(Ipv4Prefix{{0xc0a80000}, 16}));
        REQUIRE(bench.service.leases({}).empty());
        REQUIRE(bench.service.sweep().empty());
        REQUIRE(bench.acquire(asked).grant.taps.front().name == "tap7");
    }
}

TEST_CASE("I9 whole or nothing: taps whose persistence cannot be undone are deleted")
{
    Bench bench;
    bench.host.failing = {"persist tap9", "unpersist tap7", "unpersist tap8"};
    REQUIRE_THROWS_AS(bench.acquire(request(3, Hold::name)), std::system_error);
    CHECK(bench.host.removals == std::vector<std::vector<int>>{{10, 11}});
    CHECK(bench.host.take_in_events().links().empty());
    CHECK(bench.service.sweep().empty());
}

TEST_CASE("I9 whole or nothing: taps that cannot even be deleted are removed later as an incomplete lease")
{
    Bench bench;
    bench.host.failing = {"persist tap9", "unpersist tap7", "unpersist tap8", "remove"};
    REQUIRE_THROWS_AS(bench.acquire(request(3, Hold::name)), std::system_error);
    CHECK(bench.host.take_in_events().links().size() == 2);
    bench.host.failing.clear();
    CHECK(bench.service.sweep().size() == 2);
    CHECK(bench.host.take_in_events().links().empty());
}

TEST_CASE("I5 up before hand-over: a tap that lacks a promised property is not given")
{
    Bench bench;
    bench.host.meddle = [](Link &link) { link.settings["rp_filter"] = 0; };
    CHECK(bench.refusal(request()) == ErrorCode::host_refused);
    CHECK(bench.text == "configured tap7, but net.ipv4.conf.tap7.rp_filter is 0, not 1");
    CHECK(bench.host.take_in_events().links().empty());
}

TEST_CASE("I4 never ownerless: a multi-queue tap with an intruder is deleted and made again")
{
    Bench bench;
    int intrusions = 2;
    bench.host.meddle = [&](Link &link) {
        if (intrusions-- > 0)
            link.disabled_queues = 1;
    };
    auto asked = request();
    asked.queues = 2;
    CHECK(names(bench.acquire(asked).grant) == Names{"tap7"});

    intrusions = 1000;
    CHECK(bench.refusal(asked) == ErrorCode::host_refused);
    CHECK(bench.service.sweep().size() == 1); // the first lease's tap: its descriptors are closed by now
}

TEST_CASE("I2 no collision: foreign names and subnets are skipped")
{
    Bench bench;
    auto &state = bench.host.state();
    Link eth;
    eth.ifindex = 2;
    eth.name = "eth0";
    eth.alt_names = {"tap9"};
    state.link_changed(eth);
    const Ipv4Prefix lan{{0xc0a80705}, 24};
    state.address_added({2, lan, lan});
    HostRoute vpn;
    vpn.destination = {{0xc0a80800}, 24};
    vpn.table = 52;
    state.route_added(vpn);
    bench.host.taken_behind_our_back = {"tap10"};
    CHECK(names(bench.acquire(request(2)).grant) == Names{"tap11", "tap12"});
}

TEST_CASE("I2 no collision: a subnet that another program takes while its tap is made is given up")
{
    Bench bench;
    bench.host.meddle = [&](Link &link) {
        if (link.name != "tap7")
            return;
        HostRoute route;
        route.destination = {{0xc0a80780}, 25};
        route.oif = 2;
        bench.host.state().route_added(route);
    };
    CHECK(names(bench.acquire(request(2, Hold::name)).grant) == Names{"tap8", "tap9"});
    CHECK(bench.host.state().links().size() == 2);
    CHECK(bench.service.sweep().empty());
}

TEST_CASE("I2 no collision: an index stays its lease's even if the device was renamed and its address removed")
{
    Bench bench;
    const auto held = bench.acquire(request());
    auto &state = bench.host.state();
    bench.host.change(10, [](Link &link) { link.name = "mine"; });
    state.address_gone(state.addresses(10).front());
    CHECK(names(bench.acquire(request()).grant) == Names{"tap8"});
    const auto leases = bench.service.leases({});
    REQUIRE(leases.size() == 1); // the second one's descriptors are closed
    CHECK(leases[0].taps[0].name == "mine");
    CHECK(leases[0].taps[0].prefix_length == 0);
}

TEST_CASE("a label finds its old index again, and another one while that is taken")
{
    Bench bench;
    auto asked = request(1, Hold::name);
    asked.label = "web";
    const auto first = bench.acquire(asked).grant;
    CHECK(first.taps[0].index == bench.plan.search_start(Profile::standard, 1000, "web"));
    CHECK(first.label == "web");
    const auto second = bench.acquire(asked).grant;
    CHECK(second.taps[0].index != first.taps[0].index);
    bench.service.release(first.lease);
    bench.service.release(second.lease);
    bench.service.sweep();
    CHECK(bench.acquire(asked).grant.taps == first.taps);
}

namespace {

// A label with which this user's search begins at `start`; any user can compute one.
std::string label_leading_to(const AddressPlan &plan, Profile profile, uid_t uid, unsigned start)
{
    unsigned number = 0;
    while (plan.search_start(profile, uid, "x" + std::to_string(number)) != start)
        ++number;
    return "x" + std::to_string(number);
}

TapRequest labelled(const std::string &label, Profile profile = Profile::standard)
{
    auto asked = request();
    asked.label = label;
    asked.profile = profile;
    return asked;
}

// The indexes 11 to 14.
PlanSettings four_indexes()
{
    auto settings = from_seven();
    settings.pool = {{0xc0a80000}, 24};
    settings.prefix_length = 28;
    settings.first_index = 11;
    return settings;
}

} // namespace

TEST_CASE("a computed label does not take another user's index within 10 minutes of its end")
{
    const auto profile = GENERATE(Profile::standard, Profile::runqemu);
    Bench bench{PlanSettings{}};
    const auto alices = bench.acquire(labelled("web", profile)).grant.taps[0].index;
    CHECK(alices == bench.plan.search_start(profile, 1000, "web"));
    const auto computed = labelled(label_leading_to(bench.plan, profile, 1001, alices), profile);
    // Each lease ends at once, because its descriptors are closed.
    bench.service.sweep();
    bench.now += 10min - 1ns;
    CHECK(bench.acquire(computed, 1001).grant.taps[0].index == alices + 1);
    CHECK(bench.acquire(labelled("web", profile)).grant.taps[0].index == alices);
    bench.service.sweep();
    bench.now += 10min;
    CHECK(bench.acquire(computed, 1001).grant.taps[0].index == alices);
}

TEST_CASE("without a label an index that another user had within 10 minutes comes last too")
{
    Bench bench;
    CHECK(names(bench.acquire(request()).grant) == Names{"tap7"});
    CHECK(names(bench.acquire(request(), 1001).grant) == Names{"tap8"});
    CHECK(names(bench.acquire(request(3)).grant) == Names{"tap7", "tap9", "tap10"});
    CHECK(names(bench.acquire(request(3), 1001).grant) == Names{"tap8", "tap11", "tap12"});
}

TEST_CASE("an index that ends during another user's acquire counts as recent at once")
{
    Bench bench;
    auto acquired = bench.acquire(request());
    bench.service.sweep();
    acquired.descriptors.clear();
    // There was no sweep between the end and the call: the call itself notices the end.
    CHECK(names(bench.acquire(request(), 1001).grant) == Names{"tap8"});
}

TEST_CASE("if every free index is another user's recent one, the one that ended first is taken, and none is refused")
{
    Bench bench{four_indexes()};
    std::vector<Acquired> held;
    for (int i = 0; i < 4; ++i)
        held.push_back(bench.acquire(request()));
    for (const std::size_t ends : {2, 0, 3, 1}) {
        bench.now += 1s;
        held[ends].descriptors.clear();
        bench.service.sweep();
    }
    CHECK(names(bench.acquire(request(4), 1001).grant) == Names{"tap13", "tap11", "tap14", "tap12"});
}

TEST_CASE("a lease that is not given leaves no record of its indexes")
{
    Bench bench{four_indexes()};
    const auto alices = bench.acquire(labelled("web")).grant.taps[0].name;
    auto others = request(4);
    bench.host.failing = {"up " + alices};
    REQUIRE_THROWS_AS(bench.acquire(others, 1001), std::system_error);
    bench.host.failing.clear();
    bench.service.sweep();
    CHECK(bench.acquire(labelled("web")).grant.taps[0].name == alices);
}

namespace {

PlanSettings with_reservation()
{
    auto settings = from_seven();
    settings.reservations = {{.user = "alice", .uid = 1000, .label = "web", .index = 9}};
    return settings;
}

} // namespace

TEST_CASE("a reserved index is the first tap of its user and label, and never another lease's")
{
    Bench bench{with_reservation()};
    CHECK(names(bench.acquire(request(3, Hold::name), 1001).grant) == Names{"tap7", "tap8", "tap10"});
    CHECK(names(bench.acquire(request(1, Hold::name)).grant) == Names{"tap11"});
    CHECK(bench.acquire(labelled("web"), 1001).grant.taps[0].name != "tap9");
    const auto computed = labelled(label_leading_to(bench.plan, Profile::standard, 1001, 9));
    CHECK(bench.acquire(computed, 1001).grant.taps[0].name != "tap9");
    auto asked = labelled("web");
    asked.count = 2;
    const auto reserved = bench.acquire(asked).grant;
    CHECK(reserved.taps[0].name == "tap9");
    CHECK(reserved.taps[1].name != "tap9");
}

TEST_CASE("a tap by runqemu's rule uses no reservation, and leaves the label's to a standard lease")
{
    PlanSettings settings;
    settings.reservations = with_reservation().reservations;
    Bench bench{settings};
    auto asked = labelled("web", Profile::runqemu);
    asked.count = 2;
    const auto held = bench.acquire(asked);
    CHECK(held.grant.taps[0].name != "tap9");
    CHECK(held.grant.taps[1].name != "tap9");
    CHECK(bench.acquire(labelled("web")).grant.taps[0].name == "tap9");
}

TEST_CASE("a reserved index that another user had just before is still given to its label")
{
    Bench bench;
    auto held = bench.acquire(request(3), 1001);
    held.descriptors.clear();
    bench.service.sweep();
    bench.service.reconfigure(AddressPlan{with_reservation(), 1}, {});
    CHECK(names(bench.acquire(labelled("web")).grant) == Names{"tap9"});
}

TEST_CASE("a reserved index that is not free is refused after a fresh dump, and the error names what has it")
{
    Bench bench{with_reservation()};
    const Ipv4Prefix theirs{{0xc0a80905}, 24};
    bench.host.state().address_added({2, theirs, theirs});
    CHECK(bench.refusal(labelled("web")) == ErrorCode::pool_exhausted);
    CHECK(bench.text == "label \"web\" has the reservation of tap9 with 192.168.9.0/24, which is not free: address "
                        "192.168.9.5/24 on 2; use another label, or end what has it");
    CHECK(bench.host.dumps == 1);
    CHECK(bench.host.take_in_events().links().empty());
    bench.host.state().address_gone({2, theirs, theirs});
    bench.host.taken_behind_our_back = {"tap9"};
    CHECK(bench.refusal(labelled("web")) == ErrorCode::pool_exhausted);
    CHECK(contains(bench.text, "a device has the name"));
    bench.host.taken_behind_our_back.clear();
    const auto first = bench.acquire(labelled("web"));
    CHECK(bench.refusal(labelled("web")) == ErrorCode::pool_exhausted);
    CHECK(contains(bench.text, "on tap9"));
}

TEST_CASE("a new reservation at a reload leaves the lease that has the index, and applies from its end on")
{
    Bench bench;
    auto theirs = bench.acquire(request(3), 1001);
    bench.service.reconfigure(AddressPlan{with_reservation(), 1}, {});
    CHECK(bench.service.leases(1001).size() == 1);
    CHECK(bench.refusal(labelled("web")) == ErrorCode::pool_exhausted);
    theirs.descriptors.clear();
    CHECK(names(bench.acquire(labelled("web")).grant) == Names{"tap9"});
}

TEST_CASE("the error of a full pool has the number of reserved indexes")
{
    auto settings = four_indexes();
    settings.reservations = {{.user = "1000", .uid = 1000, .label = "web", .index = 12}};
    Bench bench{settings};
    const auto held = bench.acquire(request(3), 1001);
    CHECK(bench.refusal(request(), 1001) == ErrorCode::pool_exhausted);
    CHECK(contains(bench.text, "3 taps leased, 1 reserved, address"));
}

TEST_CASE("a search that starts near the end continues at the beginning")
{
    Bench bench;
    auto asked = request(3, Hold::name);
    unsigned number = 0;
    while (bench.plan.search_start(Profile::standard, 1000, "vm" + std::to_string(number)) != 253)
        ++number;
    asked.label = "vm" + std::to_string(number);
    CHECK(names(bench.acquire(asked).grant) == Names{"tap253", "tap254", "tap7"});
}

TEST_CASE("I8 bounded: the limits of a user and of all users are checked before anything is made")
{
    Bench bench{from_seven(), {3, 4}};
    CHECK(bench.refusal(request(4)) == ErrorCode::limit_exceeded);
    CHECK(bench.text == "uid 1000 holds 0 taps and may hold 3: 4 more are too many");
    const auto first = bench.acquire(request(2));
    CHECK(bench.refusal(request(2)) == ErrorCode::limit_exceeded);
    const auto other = bench.acquire(request(2), 1001);
    CHECK(bench.refusal(request(), 1002) == ErrorCode::limit_exceeded);
    CHECK(bench.text == "all users together hold 4 taps and may hold 4: 1 more are too many");
    CHECK(bench.host.journal.size() == 16);
}

TEST_CASE("I8 bounded: undeleted taps count against their owner and against the total, and the error says so")
{
    Bench bench{from_seven(), {3, 5}};
    const auto held = bench.acquire(request(1), 1000);
    bench.host.deletions = {{1000, 1, 2s}, {1001, 2, 3s}};
    CHECK(bench.refusal(request(2), 1000) == ErrorCode::limit_exceeded);
    CHECK(bench.text == "uid 1000 holds 1 tap and 1 tap undeleted, which a process still writes to or reads from, and "
                        "may hold 3: 2 more are too many");
    CHECK(bench.refusal(request(2), 1002) == ErrorCode::limit_exceeded);
    CHECK(bench.text == "all users together hold 1 tap and 3 taps undeleted, which a process still writes to or reads "
                        "from, and may hold 5: 2 more are too many");
    const auto more = bench.acquire(request(1), 1000);
    bench.host.deletions.clear();
    CHECK(bench.acquire(request(2), 1002).grant.taps.size() == 2);
}

TEST_CASE("I8 bounded: a deletion that has just begun does not count as a tap, but too many in a row are refused")
{
    Bench bench{from_seven(), {2, 4}};
    bench.host.deletions.assign(127, {1000, 2, 1999ms});
    CHECK(bench.acquire(request(2), 1000).grant.taps.size() == 2);
    bench.host.deletions.push_back({1000, 2, 0ms});
    CHECK(bench.refusal(request(1), 1000) == ErrorCode::limit_exceeded);
    bench.service.sweep();
    CHECK(bench.acquire(request(2), 1001).grant.taps.size() == 2);
}

TEST_CASE("the service does not exit before a deletion has ended, because a successor would not know the owner")
{
    Bench bench;
    CHECK_FALSE(bench.service.needs_watching());
    bench.host.deletions = {{1000, 1, 0ms}};
    CHECK(bench.service.needs_watching());
}

TEST_CASE("an exhausted pool is refused after a fresh dump, and the error names what occupies it")
{
    PlanSettings settings;
    settings.pool = *Ipv4Prefix::parse("192.168.4.0/22");
    settings.first_index = 0;
    Bench bench{settings};
    HostRoute vpn;
    vpn.destination = *Ipv4Prefix::parse("192.168.4.0/24");
    vpn.table = 52;
    bench.host.state().route_added(vpn);
    const auto held = bench.acquire(request(2, Hold::name));
    CHECK(bench.refusal(request()) == ErrorCode::pool_exhausted);
    CHECK(bench.text == "no free subnet for 1 tap in pool 192.168.4.0/22 (/24, tap0 to tap2): 2 taps leased, address "
                        "192.168.5.1/24 on tap1, address 192.168.6.1/24 on tap2, route 192.168.4.0/24 in table 52");
    CHECK(bench.host.dumps == 1);
    CHECK(bench.refusal(request(2)) == ErrorCode::pool_exhausted);
}

TEST_CASE("I9 whole or nothing: a pool with room for two taps does not give three")
{
    PlanSettings settings;
    settings.pool = *Ipv4Prefix::parse("192.168.4.0/22");
    settings.first_index = 1;
    Bench bench{settings};
    CHECK(bench.refusal(request(3)) == ErrorCode::pool_exhausted);
    CHECK(bench.host.take_in_events().links().empty());
    CHECK(names(bench.acquire(request(2)).grant) == Names{"tap1", "tap2"});
}

TEST_CASE("vhost is used if possible, and refused if required and impossible, in the documented order")
{
    Bench bench;
    auto asked = request(2);
    asked.queues = 2;
    asked.vhost = VhostChoice::when_possible;
    CHECK_FALSE(bench.acquire(asked).grant.taps[0].vhost);
    asked.vhost = VhostChoice::required;
    CHECK(bench.refusal(asked) == ErrorCode::vhost_unavailable);
    bench.host.vhost_present = true;
    const auto acquired = bench.acquire(asked);
    CHECK(acquired.grant.taps[1].vhost);
    REQUIRE(acquired.descriptors.size() == 8);
    const auto is_queue = [&](std::size_t i) { return ::lseek(acquired.descriptors[i].get(), 0, SEEK_CUR) < 0; };
    CHECK(is_queue(0));
    for (const auto &descriptor : acquired.descriptors)
        CHECK(descriptor);
}

TEST_CASE("vhost auto is left out if its descriptors would not fit into one answer")
{
    Bench bench;
    bench.host.vhost_present = true;
    auto asked = request(3);
    asked.queues = 4;
    asked.vhost = VhostChoice::when_possible;
    const auto acquired = bench.acquire(asked);
    CHECK(acquired.descriptors.size() == 12);
    CHECK_FALSE(acquired.grant.taps[0].vhost);
}

TEST_CASE("the end of a lease's last descriptor ends the lease and is reported")
{
    Bench bench;
    {
        const auto held = bench.acquire(request(2));
        CHECK(bench.service.sweep().empty());
    }
    const auto ended = bench.service.sweep();
    REQUIRE(ended.size() == 2);
    CHECK(ended[0].tag.lease == "0000000000000001");
    CHECK(bench.service.leases({}).empty());
    CHECK(bench.host.removals.empty());
}

TEST_CASE("releases in one turn are one removal")
{
    Bench bench;
    const auto first = bench.acquire(request(2, Hold::name)).grant;
    const auto second = bench.acquire(request(1, Hold::name)).grant;
    bench.service.release(first.lease);
    bench.service.release(second.lease);
    CHECK(bench.service.owner_of(first.lease) == uid_t{1000});
    CHECK(bench.service.sweep().size() == 3);
    CHECK(bench.host.removals == std::vector<std::vector<int>>{{10, 11, 12}});
    CHECK_FALSE(bench.service.owner_of(first.lease));
}

TEST_CASE("I6 the end is the daemon's: taps are removed per owner, and a failed removal does not block the others")
{
    Bench bench;
    const auto first = bench.acquire(request(2, Hold::name), 1000).grant;
    const auto second = bench.acquire(request(1, Hold::name), 1001).grant;
    bench.service.release(first.lease);
    bench.service.release(second.lease);
    bench.host.fail_at = bench.host.calls + 1;
    CHECK_THROWS_AS(bench.service.sweep(), std::system_error);
    CHECK(bench.host.removals == std::vector<std::vector<int>>{{12}});
    CHECK(bench.service.sweep().size() == 3);
    CHECK(bench.host.removals == std::vector<std::vector<int>>{{12}, {10, 11}});
    CHECK(bench.host.removals_of == std::vector<uid_t>{1001, 1000});
}

TEST_CASE("a removal that the kernel refuses is tried again in the next turn")
{
    Bench bench;
    const auto grant = bench.acquire(request(1, Hold::name)).grant;
    bench.service.release(grant.lease);
    bench.host.fail_at = bench.host.calls + 1;
    CHECK_THROWS_AS(bench.service.sweep(), std::system_error);
    bench.host.fail_at = 0;
    CHECK(bench.service.sweep().size() == 1);
}

TEST_CASE("I3 only ours: a released tap whose alias another program has changed is left alone")
{
    Bench bench;
    const auto grant = bench.acquire(request(1, Hold::name)).grant;
    bench.service.release(grant.lease);
    bench.host.change(10, [](Link &link) { link.alias = "mine"; });
    bench.service.sweep();
    CHECK(bench.host.removals.empty());
    CHECK(bench.host.state().link(10) != nullptr);
}

TEST_CASE("I6 the end is the daemon's: a tap that its holder made persistent ends with its descriptors")
{
    Bench bench;
    {
        const auto held = bench.acquire(request());
        bench.host.change(10, [](Link &link) { link.persistent = true; });
        CHECK(bench.service.sweep().empty());
    }
    CHECK(bench.service.sweep().size() == 1);
    CHECK(bench.host.removals == std::vector<std::vector<int>>{{10}});
}

TEST_CASE("an idle lease ends at its timeout")
{
    Bench bench;
    auto asked = request(1, Hold::name);
    asked.idle_timeout_seconds = 60;
    bench.acquire(asked);
    bench.service.sweep();
    REQUIRE(bench.service.next_deadline() == bench.now + 60s);
    bench.now += 59s;
    CHECK(bench.service.sweep().empty());
    bench.now += 1s;
    CHECK(bench.service.sweep().size() == 1);
    CHECK_FALSE(bench.service.next_deadline());
}

TEST_CASE("an attended lease ends with its attendant, as a whole, and no other lease does")
{
    Bench bench;
    const auto first = bench.acquire_attended(request(2, Hold::name), ":1.5@0123abcd");
    CHECK(first.attended);
    const auto others = bench.acquire_attended(request(1, Hold::name), ":1.6@0123abcd");
    const auto nobodys = bench.acquire(request(1, Hold::name)).grant;
    CHECK_FALSE(nobodys.attended);
    CHECK(bench.service.has_attended());
    bench.service.attendants_are({":1.5@0123abcd", ":1.6@0123abcd"});
    bench.service.attendant_left(":1.7@0123abcd");
    bench.service.attendant_left("");
    CHECK(bench.service.sweep().empty());
    bench.service.attendant_left(":1.5@0123abcd");
    CHECK(bench.service.sweep().size() == 2);
    CHECK(bench.host.removals == std::vector<std::vector<int>>{{10, 11}});
    CHECK(bench.service.leases({}) == std::vector<LeaseGrant>{others, nobodys});
}

TEST_CASE("the end of an attendant is remembered if the kernel refuses the removal")
{
    Bench bench;
    bench.acquire_attended(request(1, Hold::name), ":1.5@0123abcd");
    bench.service.attendant_left(":1.5@0123abcd");
    bench.host.failing = {"remove"};
    CHECK_THROWS_AS(bench.service.sweep(), std::system_error);
    bench.host.failing.clear();
    CHECK(bench.service.sweep().size() == 1);
    CHECK_FALSE(bench.service.has_attended());
}

TEST_CASE("I1 crash-safe: a new service ends the leases whose attendants are gone, and no others")
{
    Bench bench;
    bench.acquire_attended(request(1, Hold::name), ":1.5@0123abcd");
    const auto stays = bench.acquire_attended(request(1, Hold::name), ":1.6@0123abcd");
    bench.acquire_attended(request(1, Hold::name), ":1.6@fedcba98"); // of an earlier bus
    bench.host.state().replace_with(HostState{bench.host.state()});
    TapService successor{bench.plan,        bench.limits,           bench.host, bench.host, bench.host,
                         [] { return ""; }, [] { return Moment{}; }};
    CHECK(successor.sweep().empty());
    successor.attendants_are({":1.0@0123abcd", ":1.6@0123abcd"});
    CHECK(successor.sweep().size() == 2);
    CHECK(successor.leases({}) == std::vector<LeaseGrant>{stays});
}

TEST_CASE("a caller whose bus name does not fit into an alias gets no attended lease")
{
    Bench bench;
    for (const auto *name : {"", ":1.5", ":1.123456789012345@0123abcd", ":1 5@0123abcd"}) {
        CAPTURE(name);
        try {
            bench.acquire_attended(request(1, Hold::name), name);
            FAIL("the request was granted");
        } catch (const TapError &error) {
            CHECK(error.code() == ErrorCode::failed);
        }
    }
    CHECK(bench.host.journal.empty());
}

TEST_CASE("leases are listed by owner, or all, in the order of their first taps")
{
    Bench bench;
    const auto first = bench.acquire(request(1, Hold::name), 1001).grant;
    const auto second = bench.acquire(request(1, Hold::name), 1000).grant;
    CHECK(bench.service.leases({}) == std::vector<LeaseGrant>{first, second});
    CHECK(bench.service.leases(uid_t{1000}) == std::vector<LeaseGrant>{second});
    CHECK(bench.service.leases(uid_t{1002}).empty());
}

TEST_CASE("I1 crash-safe: a new service on the same host finds the same leases")
{
    Bench bench;
    const auto named = bench.acquire(request(2, Hold::name)).grant;
    const auto held = bench.acquire(request(1));
    bench.host.state().replace_with(HostState{bench.host.state()});
    TapService successor{bench.plan,        bench.limits,           bench.host, bench.host, bench.host,
                         [] { return ""; }, [] { return Moment{}; }};
    CHECK(successor.leases({}) == std::vector<LeaseGrant>{named, held.grant});
    CHECK(successor.sweep().empty());
}

TEST_CASE("a name is marked from before its device is made until after it is deleted, by whatever way")
{
    Bench bench;
    const auto named = bench.acquire(request(2, Hold::name)).grant;
    {
        const auto held = bench.acquire(request(2));
        CHECK(bench.host.marks == Marks{"tap7", "tap8", "tap9", "tap10"});
    }
    CHECK(bench.host.marks == Marks{"tap7", "tap8", "tap9", "tap10"});
    bench.service.sweep();
    CHECK(bench.host.marks == Marks{"tap7", "tap8"});
    bench.service.release(named.lease);
    bench.service.sweep();
    CHECK(bench.host.marks.empty());
    bench.acquire(request(1, Hold::name));
    bench.host.remove({14}, 1000); // by another program
    bench.service.sweep();
    CHECK(bench.host.marks.empty());
    CHECK(bench.host.unmarked.empty());
}

TEST_CASE("a name stays marked while its device exists, even if the lease is not given")
{
    Bench bench;
    bench.host.taken_behind_our_back = {"tap8"};
    bench.acquire(request(2, Hold::name));
    CHECK(bench.host.marks == Marks{"tap7", "tap9"});
    auto asked = request(2);
    asked.queues = 2;
    bench.host.meddle = [](Link &link) { link.disabled_queues = 1; };
    CHECK(bench.refusal(asked) == ErrorCode::host_refused);
    CHECK(bench.host.marks == Marks{"tap7", "tap9"});
    bench.host.meddle = nullptr;
    bench.host.failing = {"persist tap11", "unpersist tap10", "remove"};
    REQUIRE_THROWS_AS(bench.acquire(request(2, Hold::name)), std::system_error);
    CHECK(bench.host.marks == Marks{"tap7", "tap9", "tap10"});
    bench.host.failing.clear();
    bench.service.sweep();
    CHECK(bench.host.marks == Marks{"tap7", "tap9"});
    CHECK(bench.host.unmarked.empty());
}

TEST_CASE("a mark belongs to a name: the next tap of that name keeps it, and a renamed tap gets another")
{
    Bench bench;
    auto asked = request(1, Hold::name);
    asked.label = "web";
    const auto first = bench.acquire(asked).grant;
    bench.host.remove({10}, 1000); // by another program
    const auto second = bench.acquire(asked).grant;
    REQUIRE(second.taps[0].name == first.taps[0].name);
    bench.service.sweep();
    CHECK(bench.host.marks == Marks{first.taps[0].name});
    bench.host.change(11, [](Link &link) { link.name = "tap300"; });
    bench.service.sweep();
    CHECK(bench.host.marks == Marks{"tap300"});
    CHECK(bench.host.unmarked.empty());
}

TEST_CASE("a successor marks exactly the existing devices")
{
    Bench bench;
    bench.acquire(request(2, Hold::name));
    bench.host.marks = {"tap8", "tap40"};
    bench.service.restore_marks();
    CHECK(bench.host.marks == Marks{"tap7", "tap8"});
}

TEST_CASE("by runqemu's rule the first tap has runqemu's addresses and a route, and the others are standard ones")
{
    Bench bench{PlanSettings{}};
    auto asked = request(3, Hold::name);
    asked.profile = Profile::runqemu;
    const auto grant = bench.acquire(asked).grant;
    CHECK(names(grant) == Names{"rq00000000t0", "tap8", "tap9"});
    CHECK(
        grant.taps[0] ==
        TapGrant{"rq00000000t0", 0, {0xc0a80701}, {0xc0a80702}, 32, *MacAddress::parse("52:54:01:01:00:00"), 1, false});
    CHECK(bench.host.journal == Names{"create rq00000000t0", "configure rq00000000t0", "address rq00000000t0",
                                      "up rq00000000t0", "route rq00000000t0", "create tap8", "configure tap8",
                                      "address tap8", "up tap8", "create tap9", "configure tap9", "address tap9",
                                      "up tap9", "persist rq00000000t0", "persist tap8", "persist tap9"});
    CHECK(bench.host.state().has_route(Ipv4Prefix{{0xc0a80702}, 32}, 10));
    CHECK_FALSE(bench.host.state().occupied(Ipv4Prefix{{0xc0a80703}, 32}));
    bench.host.state().replace_with(HostState{bench.host.state()});
    TapService successor{bench.plan,        bench.limits,           bench.host, bench.host, bench.host,
                         [] { return ""; }, [] { return Moment{}; }};
    CHECK(successor.leases({}) == std::vector<LeaseGrant>{grant});
    bench.service.release(grant.lease);
    CHECK(bench.service.sweep().size() == 3);
    CHECK(bench.host.state().links().empty());
}

TEST_CASE("leases whose first taps have the same index are listed in the same order by every service")
{
    PlanSettings from_zero;
    from_zero.first_index = 0;
    for (const bool ours_first : {false, true}) {
        Bench bench{from_zero};
        std::vector<LeaseGrant> given;
        for (const bool ours : {ours_first, !ours_first}) {
            auto asked = request(1, Hold::name);
            asked.profile = ours ? Profile::standard : Profile::runqemu;
            given.push_back(bench.acquire(asked).grant);
            CHECK(given.back().taps[0].index == 0);
        }
        CHECK(bench.service.leases({}) == given);
    }
}

namespace {

// The lease ids differ in their first digits, as real ones do, because runqemu's devices have these in their names.
struct RunqemuBench : Bench {
    TapService own{plan,
                   limits,
                   host,
                   host,
                   host,
                   [this] {
                       auto digits = std::to_string(10'000'000 + ++ids);
                       return digits + digits;
                   },
                   [this] { return now; }};

    RunqemuBench(PlanSettings settings = {})
        : Bench{std::move(settings), {1000, 1000}}
    {}

    TapGrant first_tap(const std::string &label = {})
    {
        auto asked = request(1, Hold::name);
        asked.profile = Profile::runqemu;
        asked.label = label;
        return own.acquire(1000, asked).grant.taps[0];
    }
};

} // namespace

TEST_CASE("I2 no collision: by runqemu's rule the lowest pair is given of which neither address is in use")
{
    RunqemuBench bench;
    auto &state = bench.host.state();
    Link foreign;
    foreign.ifindex = 2;
    foreign.name = "tap0";
    state.link_changed(foreign);
    const auto add = [&](std::uint32_t address) { state.address_added({2, {{address}, 32}, {{address}, 32}}); };
    add(0xc0a80701); // 192.168.7.1: the gateway of 0
    add(0xc0a80704); // 192.168.7.4: the guest of 1
    HostRoute route;
    route.destination = {{0xc0a80704}, 30}; // 192.168.7.4 to .7: of 1, 2 and 3
    state.route_added(route);
    route.destination = {{0}, 1};
    state.route_added(route); // one half of a default route
    CHECK(bench.first_tap().index == 4);
    CHECK(bench.first_tap().index == 5);
    CHECK(bench.first_tap("web").index == bench.plan.search_start(Profile::runqemu, 1000, "web"));
}

TEST_CASE("I2 no collision: a pair stays its lease's even if the device was renamed and its address removed")
{
    RunqemuBench bench;
    CHECK(bench.first_tap().index == 0);
    bench.host.change(10, [](Link &link) { link.name = "mine"; });
    auto &state = bench.host.state();
    state.address_gone(state.addresses(10).front());
    state.drop_routes();
    CHECK(bench.first_tap().index == 1);
}

TEST_CASE("I2 no collision: a lease whose device name would be taken gets another id, and so another name")
{
    RunqemuBench bench;
    Link foreign;
    foreign.ifindex = 2;
    foreign.name = "rq10000001t99";
    bench.host.state().link_changed(foreign);
    CHECK(bench.first_tap().name == "rq10000002t0");
}

TEST_CASE("by runqemu's rule there are 127 leases, and the next is refused with an error that says so")
{
    RunqemuBench bench;
    std::set<std::string> macs;
    for (unsigned i = 0; i < 127; ++i) {
        const auto tap = bench.first_tap();
        REQUIRE(tap.index == i);
        macs.insert(tap.mac.text());
    }
    CHECK(macs.size() == 127);
    auto asked = request();
    asked.profile = Profile::runqemu;
    const auto error = tap_error_of([&] { bench.own.acquire(1000, asked); });
    CHECK(error.code() == ErrorCode::pool_exhausted);
    CHECK(std::string{error.what()}.find("no free pair of addresses for a tap by runqemu's rule: none of the 127 in "
                                         "192.168.7.0/24 may be had: 127 taps leased, address 192.168.7.1/32 on rq") ==
          0);
    // By the standard rule there is room.
    CHECK(names(bench.own.acquire(1000, request()).grant) == Names{"tap8"});
}

TEST_CASE("I9 whole or nothing: whichever step of a lease by runqemu's rule fails, no trace is left")
{
    auto asked = request(2, Hold::name);
    asked.profile = Profile::runqemu;
    for (unsigned step = 1; step <= 11; ++step) {
        Bench bench{PlanSettings{}};
        bench.host.fail_at = step;
        REQUIRE_THROWS_AS(bench.acquire(asked), std::system_error);
        bench.host.fail_at = 0;
        REQUIRE(bench.host.take_in_events().links().empty());
        REQUIRE_FALSE(bench.host.state().occupied(Ipv4Prefix{{0xc0a80000}, 16}));
        REQUIRE(bench.service.leases({}).empty());
    }
}

TEST_CASE("I2 no collision: a pair that another program takes while its tap is made is given up")
{
    const bool by_route = GENERATE(false, true);
    RunqemuBench bench;
    const Ipv4Prefix client{{0xc0a80702}, 32};
    HostRoute route;
    route.table = 254;
    route.destination = client;
    route.oif = 2;
    bench.host.meddle = [&](Link &link) {
        if (link.name != "rq10000001t0")
            return;
        if (by_route)
            bench.host.state().route_added(route);
        else
            bench.host.state().address_added({2, client, client});
    };
    CHECK(bench.first_tap().name == "rq10000002t1");
    CHECK(bench.host.state().links().size() == 1);
    CHECK(bench.host.state().occupied(client));
}
