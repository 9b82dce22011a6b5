// SPDX-License-Identifier: MIT
//
// I5: a tap that lacks any promised property is reported.

#include "daemon/core/verify.hpp"

#include "common/ipv4.hpp"
#include "contract/profile.hpp"
#include "daemon/core/lease_table.hpp"
#include "tests/catch.hpp"

#include <functional>

using namespace qemutap;

namespace {

const Ipv4Prefix gateway{{0xc0a80701}, 24};

PromisedTap promise()
{
    TapTag tag;
    tag.lease = "0123456789abcdef";
    tag.index = 7;
    tag.ifindex = 10;
    tag.uid = 1000;
    PlannedTap plan;
    plan.network.gateway = gateway;
    plan.port.host_mac = {{0xfe, 0x54, 0, 1, 0, 7}};
    return {tag, plan};
}

OpenTap open_tap(std::size_t queues = 1)
{
    OpenTap tap{"tap7", 10, {}};
    tap.queues.resize(queues);
    return tap;
}

Link good_link()
{
    Link link;
    link.ifindex = 10;
    link.name = "tap7";
    link.alias = encode(promise().tag);
    link.is_tap = true;
    link.tun_owner = 1000;
    link.mac = promise().plan.port.host_mac;
    link.settings = promised_settings(Profile::standard);
    link.up = true;
    link.carrier = true;
    link.group = live_group;
    return link;
}

std::string broken(const std::function<void(Link &)> &how)
{
    auto link = good_link();
    how(link);
    HostState state;
    state.link_changed(link);
    state.address_added({10, gateway, gateway});
    return broken_promise(state, open_tap(), promise());
}

} // namespace

TEST_CASE("I5 up before hand-over: a tap with every promised property passes")
{
    CHECK(broken([](Link &) {}).empty());
    // In a kernel without IPv6 these settings are missing.
    CHECK(broken([](Link &link) {
              for (const char *name : {"disable_ipv6", "accept_ra", "addr_gen_mode"})
                  link.settings[name] = std::nullopt;
          }).empty());
    // Where IPv6 is off and /proc/sys is read-only, this setting cannot be written and is harmless.
    CHECK(broken([](Link &link) { link.settings["accept_ra"] = 1; }).empty());
}

TEST_CASE("I5 up before hand-over: each missing property is named")
{
    CHECK(broken([](Link &link) { link.name = "mine"; }) == "it was renamed to mine");
    CHECK(broken([](Link &link) { link.alias = "mine"; }) == "its alias is not the one written");
    CHECK(broken([](Link &link) { link.is_tap = false; }) == "its alias is not the one written");
    CHECK(broken([](Link &link) { link.tun_owner = 0; }) == "its owner is not uid 1000");
    CHECK(broken([](Link &link) { link.tun_owner.reset(); }) == "its owner is not uid 1000");
    CHECK(broken([](Link &link) { link.mac.bytes[5] = 9; }) == "its MAC is not fe:54:00:01:00:07");
    CHECK(broken([](Link &link) { link.up = false; }) == "it is not up");
    CHECK(broken([](Link &link) { link.group = 0; }) == "it is not up");
}

TEST_CASE("I5 up before hand-over, I10 what a guest may do: each setting is checked")
{
    for (const auto &setting : tap_settings) {
        if (setting.kind == SettingKind::ipv6)
            continue;
        INFO(setting.name);
        const auto with = [&](std::optional<int> value) {
            return broken([&](Link &link) { link.settings[setting.name] = value; });
        };
        CHECK(with(7) == full_name(setting, "tap7") + " is 7, not " + std::to_string(setting.value));
        if (setting.kind != SettingKind::addr_gen_mode)
            CHECK(with(std::nullopt) ==
                  full_name(setting, "tap7") + " is unknown, not " + std::to_string(setting.value));
    }
    CHECK(broken([](Link &link) { link.settings["rp_filter"] = 2; }) == "net.ipv4.conf.tap7.rp_filter is 2, not 1");
    CHECK(broken([](Link &link) { link.settings["multicast"] = 1; }) == "the flag MULTICAST of tap7 is 1, not 0");
    const auto with_ipv6 = broken([](Link &link) { link.settings["disable_ipv6"] = 0; });
    CHECK(with_ipv6.find("net.ipv6.conf.default.disable_ipv6=1") != std::string::npos);
}

TEST_CASE("I5 up before hand-over: a tap without its address, or one that is gone, fails")
{
    HostState state;
    CHECK(broken_promise(state, open_tap(), promise()) == "it is gone");
    state.link_changed(good_link());
    state.address_added({10, {{0xc0a80702}, 24}, {{0xc0a80702}, 24}});
    CHECK(broken_promise(state, open_tap(), promise()) == "it has no address 192.168.7.1/24");
}

TEST_CASE("I4 never ownerless: a foreign queue is an intruder, attached or detached")
{
    auto link = good_link();
    link.queues = 2;
    HostState state;
    state.link_changed(link);
    CHECK_FALSE(has_intruder(state, open_tap(2)));
    CHECK(has_intruder(state, open_tap(1)));
    link.disabled_queues = 1;
    state.link_changed(link);
    CHECK(has_intruder(state, open_tap(2)));
    CHECK_FALSE(has_intruder(state, open_tap(3)));
}

TEST_CASE("I5 up before hand-over: a promised route through another device fails")
{
    auto promised = promise();
    promised.plan.route = Ipv4Prefix{{0xc0a80702}, 32};
    HostState state;
    state.link_changed(good_link());
    state.address_added({10, gateway, gateway});
    HostRoute route;
    route.table = 254;
    route.destination = *promised.plan.route;
    route.oif = 11;
    state.route_added(route);
    CHECK(broken_promise(state, open_tap(), promised) == "it has no route to 192.168.7.2/32");
    route.oif = 10;
    route.destination.length = 31;
    state.route_added(route);
    CHECK(broken_promise(state, open_tap(), promised) == "it has no route to 192.168.7.2/32");
    route.destination.length = 32;
    state.route_added(route);
    CHECK(broken_promise(state, open_tap(), promised).empty());
}
