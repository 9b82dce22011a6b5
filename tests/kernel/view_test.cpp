// SPDX-License-Identifier: MIT
//
// The view of the host against the real kernel. It equals a fresh dump after changes of every kind, even those that the
// kernel does not announce and those that come too fast to be read.

#include "daemon/host/view.hpp"

#include "common/ipv4.hpp"
#include "tests/kernel/private_network.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/unique_fd.hpp"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace qemutap;

namespace {

Ipv4Prefix prefix(const char *text)
{
    return *Ipv4Prefix::parse(text);
}

// A view, and a fresh one to compare it with.
struct Views {
    RouteRequests requests;
    View heard{requests};

    Views() { heard.drain(); }

    bool agree()
    {
        RouteRequests other_requests;
        View fresh{other_requests};
        const auto &one = heard.drain();
        const auto &other = fresh.drain();
        bool same = one.links() == other.links() && one.routes() == other.routes();
        for (const auto &[ifindex, link] : one.links())
            same = same && one.addresses(ifindex) == other.addresses(ifindex);
        return same;
    }
};

ifreq named(const std::string &name, short flags)
{
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = flags;
    return request;
}

UniqueFd open_tap(const std::string &name)
{
    UniqueFd tun{::open("/dev/net/tun", O_RDWR | O_CLOEXEC)};
    auto request = named(name, IFF_TAP | IFF_NO_PI);
    return ::ioctl(tun.get(), TUNSETIFF, &request) == 0 ? std::move(tun) : UniqueFd{};
}

// Changes a tap, which is up so that the kernel announces the changes, as fast as possible.
void flood(const std::string &name, const std::atomic<bool> &over)
{
    const auto tun = open_tap(name);
    auto request = named(name, IFF_UP);
    ::ioctl(UniqueFd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)}.get(), SIOCSIFFLAGS, &request);
    for (unsigned long uid = 0; !over; ++uid)
        ::ioctl(tun.get(), TUNSETOWNER, uid % 60'000);
}

} // namespace

TEST_CASE("links, names, aliases, addresses and routes of all tables appear and disappear in the view")
{
    const PrivateNetwork network;
    Views views;
    auto &state = views.heard.drain();
    network.ip("link add lan0 type bridge");
    network.ip("link property add dev lan0 altname tap9");
    network.ip("link set lan0 alias hello up");
    network.ip("addr add 192.168.7.5/24 dev lan0");
    network.ip("addr add 192.168.20.1 peer 192.168.21.0/24 dev lan0");
    network.ip("route add 192.168.64.0/20 dev lan0 table 4711");
    network.ip("route add blackhole 192.168.99.0/24");
    views.heard.drain();
    const int lan = static_cast<int>(::if_nametoindex("lan0"));
    REQUIRE(state.link(lan));
    CHECK(state.link(lan)->alias == "hello");
    CHECK(state.link(lan)->up);
    CHECK(state.name_taken("tap9"));
    for (const char *taken :
         {"192.168.7.0/24", "192.168.20.1/32", "192.168.21.0/24", "192.168.65.0/24", "192.168.99.4/30"})
        CHECK(state.occupied(prefix(taken)));
    CHECK(views.agree());
    network.ip("link set lan0 name lan1");
    network.ip("link property del dev lan1 altname tap9");
    network.ip("route del blackhole 192.168.99.0/24");
    network.ip("addr del 192.168.7.5/24 dev lan1");
    views.heard.drain();
    CHECK_FALSE(state.name_taken("lan0"));
    CHECK_FALSE(state.name_taken("tap9"));
    CHECK_FALSE(state.occupied(prefix("192.168.99.0/24")));
    CHECK_FALSE(state.occupied(prefix("192.168.7.0/24")));
    network.ip("link del lan1");
    views.heard.drain();
    CHECK_FALSE(state.occupied(prefix("192.168.0.0/16")));
    CHECK(views.agree());
}

TEST_CASE("a default route occupies nothing")
{
    const PrivateNetwork network;
    Views views;
    network.ip("link add lan0 type bridge");
    network.ip("link set lan0 up");
    network.ip("addr add 10.0.0.2/24 dev lan0");
    network.ip("route add default via 10.0.0.1");
    network.ip("route add blackhole default metric 99 table 52");
    CHECK_FALSE(views.heard.drain().occupied(prefix("192.168.0.0/16")));
    CHECK(views.agree());
}

TEST_CASE("routes that the kernel drops without an announcement disappear from the view")
{
    const PrivateNetwork network;
    Views views;
    network.ip("link add lan0 type bridge");
    network.ip("link add lan1 type bridge");
    network.ip("link set lan0 up");
    network.ip("link set lan1 up");
    network.ip("addr add 10.0.0.2/24 dev lan0");
    SECTION("because a link is set down")
    {
        network.ip("route add 192.168.7.0/24 via 10.0.0.1");
        REQUIRE(views.heard.drain().occupied(prefix("192.168.7.0/24")));
        network.ip("link set lan0 down");
    }
    SECTION("because a source address is removed")
    {
        network.ip("addr add 10.0.1.2/24 dev lan0");
        network.ip("route add 192.168.7.0/24 via 10.0.0.1 src 10.0.1.2");
        REQUIRE(views.heard.drain().occupied(prefix("192.168.7.0/24")));
        network.ip("addr del 10.0.1.2/24 dev lan0");
    }
    SECTION("because a route is replaced, and the new one is deleted")
    {
        network.ip("addr add 10.0.1.2/24 dev lan1");
        network.ip("route add 192.168.7.0/24 via 10.0.0.1");
        REQUIRE(views.heard.drain().occupied(prefix("192.168.7.0/24")));
        network.ip("route replace 192.168.7.0/24 via 10.0.1.1");
        network.ip("route del 192.168.7.0/24");
    }
    SECTION("because one of two multipath routes to one destination is deleted, and then the other")
    {
        network.ip("addr add 10.0.1.2/24 dev lan1");
        network.ip("route add 192.168.7.0/24 nexthop via 10.0.0.1 nexthop via 10.0.1.1");
        network.ip("route append 192.168.7.0/24 nexthop via 10.0.0.3 nexthop via 10.0.1.3");
        REQUIRE(views.heard.drain().occupied(prefix("192.168.7.0/24")));
        network.ip("route del 192.168.7.0/24 nexthop via 10.0.0.1 nexthop via 10.0.1.1");
        CHECK(views.heard.drain().occupied(prefix("192.168.7.0/24")));
        network.ip("route del 192.168.7.0/24");
    }
    SECTION("because one of the links of a multipath route is deleted")
    {
        network.ip("addr add 10.0.1.2/24 dev lan1");
        network.ip("route add 192.168.7.0/24 nexthop via 10.0.0.1 nexthop via 10.0.1.1");
        REQUIRE(views.heard.drain().occupied(prefix("192.168.7.0/24")));
        network.ip("link del lan0");
        network.ip("link del lan1");
    }
    CHECK_FALSE(views.heard.drain().occupied(prefix("192.168.7.0/24")));
    CHECK(views.agree());
}

TEST_CASE("a dump that the kernel interrupted is reported as such")
{
    struct {
        nlmsghdr header{};
        std::int32_t result = 0;
    } done;
    done.header.nlmsg_type = NLMSG_DONE;
    done.header.nlmsg_len = sizeof done;
    CHECK(errno_of_done(done.header) == 0);
    done.result = -EMSGSIZE;
    CHECK(errno_of_done(done.header) == EMSGSIZE);
    for (const auto none : {-4096, std::numeric_limits<std::int32_t>::min()}) {
        done.result = none;
        CHECK(errno_of_done(done.header) == EPROTO);
    }
    done.header.nlmsg_len = sizeof done.header;
    CHECK(errno_of_done(done.header) == 0);
}

TEST_CASE("announcements of a link's bridge port or wireless part do not change the link")
{
    const PrivateNetwork network;
    Views views;
    network.ip("link add br0 type bridge");
    network.ip("tuntap add lan0 mode tap");
    network.ip("link set lan0 master br0");
    CHECK(views.agree());
    network.ip("link set lan0 nomaster"); // RTM_DELLINK of the family AF_BRIDGE
    CHECK(views.heard.drain().name_taken("lan0"));
    CHECK(views.agree());
}

TEST_CASE("the view equals a fresh dump after 300 random changes")
{
    const PrivateNetwork network;
    Views views;
    std::mt19937 random{11};
    const auto pick = [&](unsigned below) { return std::to_string(random() % below); };
    std::string batch;
    for (int round = 0; round < 10; ++round) {
        for (int change = 0; change < 30; ++change) {
            const auto link = "d" + pick(4);
            const auto subnet = "192.168." + pick(6);
            switch (random() % 9) {
            case 0:
                batch += "link add " + link + " type bridge\n";
                break;
            case 1:
                batch += "link del " + link + "\n";
                break;
            case 2:
                batch += "link set " + link + " " + (random() % 2 ? "up" : "down") + "\n";
                break;
            case 3:
                batch += "addr add " + subnet + ".1/2" + pick(5) + " dev " + link + "\n";
                break;
            case 4:
                batch += "addr flush dev " + link + "\n";
                break;
            case 5:
                batch += "route replace " + subnet + ".128/25 dev " + link + " table " +
                         std::to_string(100 + random() % 2) + "\n";
                break;
            case 6:
                batch += "route append " + subnet + ".64/26 dev " + link + "\n";
                break;
            case 7:
                batch += "route del " + subnet + ".64/26\n";
                break;
            default:
                // The kernel does not announce this for a link that is down.
                batch += "link set " + link + " up alias a" + pick(9) + "\n";
                break;
            }
        }
        // Some of these changes make no sense at that moment and are refused.
        REQUIRE(std::system(("ip -force -batch - >/dev/null 2>&1 <<'END'\n" + batch + "END\ntrue").c_str()) == 0);
        batch.clear();
        REQUIRE(views.agree());
    }
}

TEST_CASE("after events were lost the view is restored by a dump")
{
    const PrivateNetwork network;
    Views views;
    const auto tun = open_tap("tap7");
    network.ip("link set tap7 up");
    views.heard.drain();
    CHECK(views.heard.floods() == 0);
    for (unsigned long uid = 0; uid < 20'000; ++uid)
        REQUIRE(::ioctl(tun.get(), TUNSETOWNER, uid) == 0);
    network.ip("link add lan0 type bridge");
    const auto &state = views.heard.drain();
    CHECK(views.heard.floods() >= 1);
    CHECK(state.name_taken("lan0"));
    CHECK(state.link(static_cast<int>(::if_nametoindex("tap7")))->tun_owner == uid_t{19'999});
    CHECK(views.agree());
}

TEST_CASE("events that arrive faster than they are read neither block a drain nor hide what existed before it")
{
    const PrivateNetwork network;
    std::atomic<bool> over = false;
    std::vector<std::thread> holders;
    for (const char *name : {"tap7", "tap8", "tap9"})
        holders.emplace_back([name, &over] { flood(name, over); });
    Views views;
    unsigned wrong = 0;
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{3};
         std::chrono::steady_clock::now() < end;) {
        auto tun = open_tap("own0");
        wrong += views.heard.drain().name_taken("own0") ? 0 : 1;
        tun = UniqueFd{};
        wrong += views.heard.drain().name_taken("own0") ? 1 : 0;
    }
    over = true;
    for (auto &holder : holders)
        holder.join();
    CHECK(wrong == 0);
    CHECK(views.agree());
}
