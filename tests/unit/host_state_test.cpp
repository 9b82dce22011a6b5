// SPDX-License-Identifier: MIT
//
// What counts as taken: names, alternative names, addresses and routes, in both directions of overlap, and what
// disappears with a link.

#include "daemon/core/host_state.hpp"

#include "tests/catch.hpp"

#include <random>
#include <string>
#include <vector>

using namespace qemutap;

namespace {

Ipv4Prefix prefix(const char *text)
{
    return *Ipv4Prefix::parse(text);
}

Link link(int ifindex, const char *name)
{
    Link made;
    made.ifindex = ifindex;
    made.name = name;
    return made;
}

HostAddress address(int ifindex, const char *text)
{
    return {ifindex, prefix(text), prefix(text)};
}

HostRoute route(const char *destination, int oif = 0, std::uint32_t table = 254)
{
    HostRoute made;
    made.destination = prefix(destination);
    made.oif = oif;
    made.table = table;
    return made;
}

} // namespace

TEST_CASE("a prefix is occupied by a shorter one that contains it, by a longer one inside it, and by itself")
{
    PrefixSet set;
    set.add(prefix("192.168.16.0/20"));
    set.add(prefix("192.168.7.128/25"));
    set.add(prefix("192.168.9.0/24"));
    for (const char *taken : {"192.168.16.0/24", "192.168.31.0/24", "192.168.7.0/24", "192.168.9.0/24",
                              "192.168.0.0/16", "192.168.9.4/30", "192.168.7.128/32"})
        CHECK(set.overlaps(prefix(taken)));
    for (const char *free : {"192.168.15.0/24", "192.168.32.0/24", "192.168.8.0/24", "192.168.7.0/25", "10.0.0.0/8"})
        CHECK_FALSE(set.overlaps(prefix(free)));
}

TEST_CASE("a prefix that was added twice is free only after it was removed twice")
{
    PrefixSet set;
    set.add(prefix("192.168.7.0/24"));
    set.add(prefix("192.168.7.9/24"));
    set.remove(prefix("192.168.7.0/24"));
    CHECK(set.overlaps(prefix("192.168.7.0/30")));
    set.remove(prefix("192.168.7.0/24"));
    CHECK_FALSE(set.overlaps(prefix("192.168.7.0/30")));
}

TEST_CASE("overlap agrees with a comparison of every pair, for 20,000 random queries")
{
    std::mt19937 random{7};
    const auto any = [&] {
        const auto address = 0xc0a80000 | static_cast<std::uint32_t>(random() & 0xffff);
        return Ipv4Prefix{{address}, static_cast<unsigned>(14 + random() % 19)}.network();
    };
    for (int round = 0; round < 200; ++round) {
        PrefixSet set;
        std::vector<Ipv4Prefix> all;
        for (unsigned i = 0; i < random() % 12; ++i) {
            all.push_back(any());
            set.add(all.back());
        }
        for (int query = 0; query < 100; ++query) {
            const auto asked = any();
            bool expected = false;
            for (const auto &present : all)
                expected = expected || present.overlaps(asked);
            REQUIRE(set.overlaps(asked) == expected);
        }
    }
}

TEST_CASE("names and alternative names are taken, and free again after a rename or the link's end")
{
    HostState state;
    auto eth = link(2, "eth0");
    eth.alt_names = {"tap9", "enp1s0"};
    state.link_changed(eth);
    CHECK(state.name_taken("eth0"));
    CHECK(state.name_taken("tap9"));
    eth.name = "lan0";
    eth.alt_names = {"enp1s0"};
    state.link_changed(eth);
    CHECK(state.name_taken("lan0"));
    CHECK_FALSE(state.name_taken("eth0"));
    CHECK_FALSE(state.name_taken("tap9"));
    state.link_gone(2);
    CHECK_FALSE(state.name_taken("lan0"));
    CHECK_FALSE(state.name_taken("enp1s0"));
}

TEST_CASE("addresses occupy their subnets, and those of a point-to-point link both of its ends")
{
    HostState state;
    state.link_changed(link(2, "eth0"));
    state.address_added(address(2, "192.168.7.77/24"));
    state.address_added({2, prefix("192.168.20.1/32"), prefix("192.168.21.2/32")});
    CHECK(state.occupied(prefix("192.168.7.0/24")));
    CHECK(state.occupied(prefix("192.168.20.0/24")));
    CHECK(state.occupied(prefix("192.168.21.0/24")));
    state.address_gone({2, prefix("192.168.20.1/32"), prefix("192.168.21.2/32")});
    CHECK_FALSE(state.occupied(prefix("192.168.20.0/24")));
    CHECK_FALSE(state.occupied(prefix("192.168.21.0/24")));
}

TEST_CASE("routes of every table occupy their destination, except default routes")
{
    HostState state;
    state.route_added(route("0.0.0.0/0", 2));
    CHECK_FALSE(state.occupied(prefix("192.168.7.0/24")));
    // The default route in two halves, as openvpn(8) makes it with def1.
    state.route_added(route("0.0.0.0/1", 2));
    state.route_added(route("128.0.0.0/1", 2));
    CHECK_FALSE(state.occupied(prefix("192.168.7.0/24")));
    state.route_added(route("192.0.0.0/2", 2));
    CHECK(state.occupied(prefix("192.168.7.0/24")));
    state.route_gone(route("192.0.0.0/2", 2));
    state.route_added(route("192.168.0.0/20", 2, 4711));
    CHECK(state.occupied(prefix("192.168.7.0/24")));
    CHECK_FALSE(state.occupied(prefix("192.168.16.0/24")));
}

TEST_CASE("a link's addresses and routes disappear with it")
{
    HostState state;
    state.link_changed(link(2, "eth0"));
    state.address_added(address(2, "192.168.7.1/24"));
    state.route_added(route("192.168.8.0/24", 2));
    state.route_added(route("192.168.9.0/24", 3));
    CHECK(state.may_route_through(2));
    state.link_gone(2);
    CHECK_FALSE(state.occupied(prefix("192.168.7.0/24")));
    CHECK_FALSE(state.occupied(prefix("192.168.8.0/24")));
    CHECK(state.occupied(prefix("192.168.9.0/24")));
    CHECK_FALSE(state.may_route_through(2));
}

TEST_CASE("a link's addresses and routes disappear even if it is gone before it was known")
{
    HostState state;
    state.address_added(address(2, "192.168.7.1/24"));
    state.route_added(route("192.168.8.0/24", 2));
    state.link_gone(2);
    CHECK_FALSE(state.occupied(prefix("192.168.7.0/24")));
    CHECK_FALSE(state.occupied(prefix("192.168.8.0/24")));
    CHECK(state.take_changed().empty());
}

TEST_CASE("a link's own addresses and routes are distinguished from those of others in its subnet")
{
    HostState state;
    state.link_changed(link(2, "tap7"));
    state.address_added(address(2, "192.168.7.1/24"));
    state.route_added(route("192.168.7.0/24", 2));
    CHECK_FALSE(state.occupied_by_others(2, prefix("192.168.7.0/24")));
    state.address_added(address(3, "192.168.7.9/32"));
    CHECK(state.occupied_by_others(2, prefix("192.168.7.0/24")));
    CHECK(state.occupied(prefix("192.168.7.0/30")));
}

TEST_CASE("a route through several links is a route of each of them")
{
    HostState state;
    state.route_added(route("192.168.8.0/24", 0));
    CHECK(state.may_route_through(2));
}

TEST_CASE("a repeated announcement does not add a second entry")
{
    HostState state;
    state.link_changed(link(2, "eth0"));
    for (int i = 0; i < 2; ++i) {
        state.address_added(address(2, "192.168.7.1/24"));
        state.route_added(route("192.168.8.0/24", 2));
    }
    state.address_gone(address(2, "192.168.7.1/24"));
    state.route_gone(route("192.168.8.0/24", 2));
    CHECK_FALSE(state.occupied(prefix("192.168.0.0/16")));
}

TEST_CASE("only changed links are reported as changed, each once")
{
    HostState state;
    state.link_changed(link(2, "eth0"));
    state.link_changed(link(3, "eth1"));
    CHECK(state.take_changed() == std::set<int>{2, 3});
    state.link_changed(link(2, "eth0"));
    CHECK(state.take_changed().empty());
    state.link_gone(3);
    CHECK(state.take_changed() == std::set<int>{3});
}

TEST_CASE("after a fresh dump the links from before and after it count as changed")
{
    HostState state;
    state.link_changed(link(2, "eth0"));
    state.take_changed();
    HostState fresh;
    fresh.link_changed(link(3, "eth1"));
    state.replace_with(std::move(fresh));
    CHECK(state.take_changed() == std::set<int>{2, 3});
    CHECK_FALSE(state.name_taken("eth0"));
}

TEST_CASE("the occupants of a pool are listed, the largest first, up to the requested number")
{
    HostState state;
    state.link_changed(link(2, "eth0"));
    state.address_added(address(2, "192.168.7.1/24"));
    state.route_added(route("192.168.0.0/18", 2, 52));
    state.route_added(route("192.168.7.1/32", 2, 255));
    state.route_added(route("10.0.0.0/8", 2));
    CHECK(state.occupants(prefix("192.168.0.0/16"), 5) ==
          std::vector<std::string>{"route 192.168.0.0/18 through eth0 in table 52", "address 192.168.7.1/24 on eth0"});
    CHECK(state.occupants(prefix("192.168.0.0/16"), 1).size() == 1);
}

TEST_CASE("only a name that is the prefix and a number is found, also an alternative name")
{
    HostState state;
    state.link_changed(link(2, "rqat"));
    state.link_changed(link(3, "rqat1x"));
    state.link_changed(link(4, "xrqat1"));
    CHECK_FALSE(state.numbered_name_taken("rqat"));
    auto named = link(5, "eth0");
    named.alt_names = {"rqat07"};
    state.link_changed(named);
    CHECK(state.numbered_name_taken("rqat"));
    state.link_gone(5);
    CHECK_FALSE(state.numbered_name_taken("rqat"));
}

TEST_CASE("a link has the routes that lead through it")
{
    HostState state;
    state.route_added(route("192.168.7.2/32", 2));
    CHECK(state.has_route(prefix("192.168.7.2/32"), 2));
    CHECK_FALSE(state.has_route(prefix("192.168.7.2/32"), 3));
    CHECK_FALSE(state.has_route(prefix("192.168.7.0/24"), 2));
    state.link_gone(2);
    CHECK_FALSE(state.has_route(prefix("192.168.7.2/32"), 2));
}
