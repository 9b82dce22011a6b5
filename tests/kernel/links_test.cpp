// SPDX-License-Identifier: MIT
//
// Links are changed in the real kernel and read back from it, and every refusal is an error.

#include "daemon/host/links.hpp"

#include "daemon/core/lease_table.hpp"
#include "daemon/core/verify.hpp"
#include "daemon/host/tun.hpp"
#include "tests/kernel/private_network.hpp"

#include <net/if.h>

#include <functional>
#include <system_error>

using namespace qemutap;

namespace {

const Ipv4Prefix gateway{{0xc0a80701}, 24};
const MacAddress host_mac{{0xfe, 0x54, 0, 1, 0, 7}};

PlannedTap plan_of(const Ipv4Prefix &address)
{
    PlannedTap plan;
    plan.network.gateway = address;
    plan.port.host_mac = host_mac;
    return plan;
}

TapTag tag_for(const OpenTap &tap)
{
    TapTag tag;
    tag.lease = "0123456789abcdef";
    tag.index = 7;
    tag.ifindex = tap.ifindex;
    tag.uid = 64123;
    return tag;
}

int refusal(const std::function<void()> &work)
{
    try {
        work();
    } catch (const std::system_error &error) {
        return error.code().value();
    }
    return 0;
}

OpenTap vanished()
{
    return {"tap7", 4711, {}};
}

} // namespace

TEST_CASE("I5 up before hand-over: a tap has every promised property in the kernel after the last step")
{
    const PrivateNetwork network;
    Tun tun;
    Links links;
    const auto tap = tun.create("tap7", 64123, {});
    const PromisedTap promised{tag_for(*tap), plan_of(gateway)};
    CHECK_FALSE(broken_promise(links.take_in_events(), *tap, promised).empty());
    links.configure(*tap, promised.tag, host_mac);
    links.add_address(*tap, gateway);
    CHECK(broken_promise(links.ask_for_link(tap->ifindex), *tap, promised) == "it is not up");
    links.bring_up(*tap);
    CHECK(broken_promise(links.take_in_events(), *tap, promised).empty());
    CHECK(links.take_in_events().link(tap->ifindex)->carrier);
    // ip(8) and /proc show the same.
    network.ip("-j link show dev tap7 group 0x71746170 up | grep -q '\"address\":\"fe:54:00:01:00:07\"'");
    network.ip(
        "-j addr show dev tap7 | grep -q '\"local\":\"192.168.7.1\",\"prefixlen\":24,\"broadcast\":\"192.168.7.255\"'");
    for (const char *setting : {"ipv4/conf/tap7/rp_filter=1", "ipv4/conf/tap7/arp_ignore=1",
                                "ipv4/conf/tap7/accept_redirects=0", "ipv4/conf/tap7/send_redirects=0",
                                "ipv4/conf/tap7/ignore_routes_with_linkdown=1", "ipv6/conf/tap7/disable_ipv6=1"}) {
        const std::string text = setting;
        const auto equals = text.find('=');
        INFO(text);
        CHECK(std::system(
                  ("grep -qx " + text.substr(equals + 1) + " /proc/sys/net/" + text.substr(0, equals)).c_str()) == 0);
    }
}

TEST_CASE("I5 up before hand-over: a tap has a single address and a route to its guest, as runqemu-ifup makes it")
{
    const PrivateNetwork network;
    Tun tun;
    Links links;
    const auto tap = tun.create("rq01234567t0", 64123, {});
    PromisedTap promised{tag_for(*tap), plan_of({{0xc0a80701}, 32})};
    promised.tag.profile = Profile::runqemu;
    promised.plan.route = Ipv4Prefix{{0xc0a80702}, 32};
    links.configure(*tap, promised.tag, host_mac);
    links.add_address(*tap, promised.plan.network.gateway);
    links.bring_up(*tap);
    CHECK(broken_promise(links.take_in_events(), *tap, promised) == "it has no route to 192.168.7.2/32");
    CHECK(links.add_route(*tap, *promised.plan.route));
    CHECK(broken_promise(links.take_in_events(), *tap, promised).empty());
    network.ip("route get 192.168.7.2 | grep -q '^192.168.7.2 dev rq01234567t0 src 192.168.7.1 '");
    network.ip("route get 192.168.7.1 | grep -q '^local 192.168.7.1 dev lo '");
    CHECK_FALSE(links.take_in_events().occupied(*Ipv4Prefix::parse("192.168.7.3/32")));
    network.ip("link del rq01234567t0");
    CHECK_FALSE(links.take_in_events().occupied(*Ipv4Prefix::parse("192.168.7.0/24")));
}

TEST_CASE("each refusal of the kernel is an error with its errno")
{
    const PrivateNetwork network;
    Tun tun;
    Links links;
    const auto tap = tun.create("tap7", 64123, {});
    CHECK(refusal([&] { links.configure(vanished(), tag_for(*tap), host_mac); }) == ENODEV);
    CHECK(refusal([&] { links.add_address(vanished(), gateway); }) == ENODEV);
    CHECK(refusal([&] { links.bring_up(vanished()); }) == ENODEV);
    // A multicast MAC, an alias beyond IFALIASZ, the same address again.
    CHECK(refusal([&] { links.configure(*tap, tag_for(*tap), {{1, 0, 0, 0, 0, 1}}); }) == EADDRNOTAVAIL);
    auto overlong = tag_for(*tap);
    overlong.label = std::string(256, 'x');
    CHECK(refusal([&] { links.configure(*tap, overlong, host_mac); }) == ERANGE);
    links.add_address(*tap, gateway);
    CHECK(refusal([&] { links.add_address(*tap, gateway); }) == EEXIST);
    // A route through a device that does not exist, or is down; the same route again belongs to another program.
    const Ipv4Prefix client{{0xc0a80802}, 32};
    CHECK(refusal([&] { links.add_route(vanished(), client); }) == ENODEV);
    CHECK(refusal([&] { links.add_route(*tap, client); }) == ENETDOWN);
    // After all these errors the next request still gets its own answer.
    CHECK(refusal([&] { links.bring_up(*tap); }) == 0);
    CHECK(links.add_route(*tap, client));
    CHECK_FALSE(links.add_route(*tap, client));
}

TEST_CASE("a tap on which IPv6 cannot be disabled is refused")
{
    const PrivateNetwork network;
    Tun tun;
    const auto tap = tun.create("tap7", 64123, {});
    // A read-only /proc/sys, and one without the device's files although the kernel has IPv6.
    Links without_file{"/nonexistent"};
    without_file.configure(*tap, tag_for(*tap), host_mac);
    without_file.add_address(*tap, gateway);
    without_file.bring_up(*tap);
    CHECK(broken_promise(without_file.take_in_events(), *tap, {tag_for(*tap), plan_of(gateway)}).find("IPv6 is on") ==
          0);
    Links not_writable{"/dev/null"};
    CHECK(refusal([&] { not_writable.configure(*tap, tag_for(*tap), host_mac); }) == ENOTDIR);
}

TEST_CASE("many taps are removed in one request with their addresses and routes, and nothing else is removed")
{
    const PrivateNetwork network;
    Tun tun;
    Links links;
    network.ip("tuntap add tap200 mode tap");
    std::vector<int> ifindexes;
    for (unsigned i = 0; i < 100; ++i) {
        const auto tap = tun.create("tap" + std::to_string(i), 64123, {});
        links.add_address(*tap, {{0xc0a80001 + (i << 8)}, 24});
        links.bring_up(*tap);
        tun.set_persistent(*tap, true);
        ifindexes.push_back(tap->ifindex);
    }
    links.remove(ifindexes, 64123);
    const auto &state = links.take_in_events();
    for (const int ifindex : ifindexes)
        CHECK(state.link(ifindex) == nullptr);
    CHECK_FALSE(state.occupied(*Ipv4Prefix::parse("192.168.0.0/16")));
    CHECK(state.name_taken("tap200"));
}

TEST_CASE("a removed tap is gone and its name is free at once, even while the kernel still waits for its deletion")
{
    const PrivateNetwork network;
    Tun tun;
    Links links;
    for (int round = 0; round < 20; ++round) {
        const auto tap = tun.create("tap7", 64123, {});
        REQUIRE(tap);
        links.bring_up(*tap);
        tun.set_persistent(*tap, true);
        links.remove({tap->ifindex}, 64123);
        CHECK(::if_nametoindex("tap7") == 0);
        CHECK(links.known_state().link(tap->ifindex) == nullptr);
        CHECK_FALSE(links.known_state().name_taken("tap7"));
    }
}

TEST_CASE("removing taps that have disappeared already is not an error")
{
    const PrivateNetwork network;
    Links links;
    CHECK(refusal([&] { links.remove({4711, 4712}, 64123); }) == 0);
    network.ip("tuntap add tap7 mode tap");
    const int ifindex = static_cast<int>(::if_nametoindex("tap7"));
    CHECK(refusal([&] { links.remove({4711, ifindex}, 64123); }) == 0);
    CHECK(links.take_in_events().link(ifindex) == nullptr);
}
