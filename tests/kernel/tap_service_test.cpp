// SPDX-License-Identifier: MIT
//
// The core over the real kernel: leases are given, end, and are found again.

#include "common/ipv4.hpp"
#include "common/unique_fd.hpp"
#include "contract/descriptors.hpp"
#include "contract/grant.hpp"
#include "contract/hold.hpp"
#include "contract/profile.hpp"
#include "contract/request.hpp"
#include "daemon/core/tap_service.hpp"

#include "common/error.hpp"
#include "daemon/host/links.hpp"
#include "daemon/host/tun.hpp"
#include "tests/kernel/private_network.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <memory>
#include <set>
#include <string>

using namespace qemutap;
using namespace std::chrono_literals;

namespace {

// The tun driver, with a hook just before a tap is made persistent.
struct WatchedTun : Tun {
    std::function<void()> before_persistent;

    void set_persistent(const OpenTap &tap, bool persistent) override
    {
        if (persistent && before_persistent)
            before_persistent();
        Tun::set_persistent(tap, persistent);
    }
};

// Makes no .skip files: skip_files_test.cpp tests them.
struct NoMarks : NameMarks {
    void mark(const std::string &) noexcept override {}
    void unmark(const std::string &) noexcept override {}
    void mark_only(const std::set<std::string> &) noexcept override {}
};

PlanSettings without_exclusions()
{
    PlanSettings settings;
    settings.exclusions.clear();
    return settings;
}

// A daemon without its bus. A second one in the same namespace is its successor.
struct Service {
    AddressPlan plan{without_exclusions(), 1};
    WatchedTun tun;
    Links links;
    NoMarks marks;
    Moment now = 1000s;
    unsigned ids = static_cast<unsigned>(::getpid());
    TapService service{plan,
                       {},
                       tun,
                       links,
                       marks,
                       [this] {
                           auto digits = std::to_string(++ids);
                           return std::string(16 - digits.size(), '0') + digits;
                       },
                       [this] { return now; }};

    Acquired acquire(unsigned count, Hold hold, unsigned queues = 1)
    {
        TapRequest request;
        request.count = count;
        request.hold = hold;
        request.queues = queues;
        return service.acquire(64123, request);
    }
};

bool exists(const std::string &name)
{
    return ::if_nametoindex(name.c_str()) != 0;
}

} // namespace

TEST_CASE("leases of both holds, of one and several taps and queues, are complete and released without a trace")
{
    const PrivateNetwork network;
    Service service;
    const auto hold = GENERATE(Hold::fd, Hold::name);
    const auto count = GENERATE(1U, 3U);
    const auto queues = GENERATE(1U, 4U);
    const auto acquired = service.acquire(count, hold, queues);
    CHECK(acquired.grant.taps.size() == count);
    CHECK(acquired.descriptors.size() == (hold == Hold::fd ? count * queues : 0));
    CHECK(acquired.grant.taps.front().name == "tap7");
    CHECK(service.service.leases({}) == std::vector<LeaseGrant>{acquired.grant});
    service.service.release(acquired.grant.lease);
    CHECK(service.service.sweep().size() == count);
    CHECK_FALSE(exists("tap7"));
    CHECK_FALSE(service.links.take_in_events().occupied(*Ipv4Prefix::parse("192.168.0.0/16")));
}

TEST_CASE("I2 no collision: foreign devices, addresses and routes are neither taken nor changed")
{
    const PrivateNetwork network;
    Service service;
    network.ip("tuntap add tap7 mode tap");
    network.ip("link add lan0 type bridge");
    network.ip("link property add dev lan0 altname tap8");
    network.ip("link set lan0 up");
    network.ip("addr add 192.168.9.77/24 dev lan0");
    network.ip("route add 192.168.10.128/25 dev lan0 table 52");
    network.ip("route add 192.168.16.0/20 dev lan0");
    const auto acquired = service.acquire(6, Hold::name);
    std::string names;
    for (const auto &tap : acquired.grant.taps)
        names += tap.name + " ";
    CHECK(names == "tap11 tap12 tap13 tap14 tap15 tap32 ");
    service.service.release(acquired.grant.lease);
    service.service.sweep();
    CHECK(exists("tap7"));
}

TEST_CASE("by runqemu's rule: a lease's further taps avoid its first tap's network, though it is not excluded")
{
    const PrivateNetwork network;
    Service service;
    TapRequest request;
    request.count = 2;
    request.hold = Hold::name;
    request.profile = Profile::runqemu;
    const auto grant = service.service.acquire(64123, request).grant;
    CHECK(grant.taps[0].gateway.text() == "192.168.7.1");
    CHECK(grant.taps[1].name == "tap8");
    service.service.release(grant.lease);
    CHECK(service.service.sweep().size() == 2);
}

TEST_CASE("by runqemu's rule: a lease beside another user's runqemu is found by a successor and ends without a trace")
{
    const PrivateNetwork network;
    network.ip("tuntap add tap0 mode tap");
    network.ip("addr add 192.168.7.1/32 broadcast 192.168.7.255 dev tap0");
    network.ip("link set tap0 up");
    network.ip("route add to 192.168.7.2 dev tap0");
    auto first = std::make_unique<Service>();
    TapRequest request;
    request.count = 2;
    request.hold = Hold::name;
    request.profile = Profile::runqemu;
    const auto grant = first->service.acquire(64123, request).grant;
    const auto name = "rq" + grant.lease.substr(0, 8) + "t1";
    CHECK(grant.taps[0].name == name);
    CHECK(grant.taps[0].gateway.text() == "192.168.7.3");
    CHECK(grant.taps[0].guest.text() == "192.168.7.4");
    CHECK(grant.taps[0].prefix_length == 32);
    // Nothing is excluded here, but the address pairs in use block the whole subnet.
    CHECK(grant.taps[1].name == "tap8");
    network.ip("route get 192.168.7.4 | grep -q 'dev " + name + " src 192.168.7.3'");
    first.reset();
    Service successor;
    CHECK(successor.service.sweep().empty());
    CHECK(successor.service.leases({}) == std::vector<LeaseGrant>{grant});
    successor.service.release(grant.lease);
    CHECK(successor.service.sweep().size() == 2);
    CHECK_FALSE(exists(name));
    CHECK(exists("tap0"));
    CHECK_FALSE(successor.links.take_in_events().occupied(*Ipv4Prefix::parse("192.168.7.3/32")));
    CHECK_FALSE(successor.links.take_in_events().occupied(*Ipv4Prefix::parse("192.168.7.4/32")));
    CHECK(successor.links.take_in_events().occupied(*Ipv4Prefix::parse("192.168.7.2/32")));
}

TEST_CASE("I1 crash-safe: a successor finds complete leases and removes incomplete ones")
{
    const PrivateNetwork network;
    auto first = std::make_unique<Service>();
    const auto named = first->acquire(2, Hold::name);
    const auto broken = first->acquire(2, Hold::name);
    const auto held = first->acquire(1, Hold::fd);
    first.reset();
    network.ip("link del tap10");
    Service successor;
    CHECK(successor.service.sweep().size() == 1);
    CHECK(successor.service.leases({}) == std::vector<LeaseGrant>{named.grant, held.grant});
    CHECK_FALSE(exists("tap9"));
}

TEST_CASE("I3 only ours: a foreign tap with a copied alias is left alone")
{
    const PrivateNetwork network;
    Service service;
    const auto grant = service.acquire(1, Hold::name).grant;
    network.ip("tuntap add tap99 mode tap");
    const auto alias = service.links.take_in_events().link(static_cast<int>(::if_nametoindex("tap7")))->alias;
    REQUIRE(alias.substr(0, 9) == "qemu-tap2");
    network.ip("link set tap99 up alias '" + alias + "'");
    CHECK(service.service.leases({}).size() == 1);
    service.service.release(grant.lease);
    service.service.sweep();
    CHECK(exists("tap99"));
    Service successor;
    successor.service.sweep();
    CHECK(exists("tap99"));
}

TEST_CASE("I3 only ours: an alias rewritten while its tap was down, which the kernel does not announce, counts")
{
    const PrivateNetwork network;
    Service service;
    const auto grant = service.acquire(1, Hold::name).grant;
    network.ip("link set tap7 down");
    CHECK(service.service.sweep().empty());
    network.ip("link set tap7 alias mine");
    service.service.release(grant.lease);
    service.service.sweep();
    CHECK(exists("tap7"));
    CHECK(service.service.leases({}).empty());
}

TEST_CASE("I6 the end is the daemon's: nothing that a holder can do to its tap extends the lease")
{
    const PrivateNetwork network;
    Service service;
    {
        const auto held = service.acquire(1, Hold::fd);
        const int queue = held.descriptors.front().get();
        REQUIRE(::ioctl(queue, TUNSETPERSIST, 1UL) == 0);
        REQUIRE(::ioctl(queue, TUNSETOWNER, 4711UL) == 0);
        CHECK(service.service.sweep().empty());
    }
    CHECK(exists("tap7"));
    CHECK(service.service.sweep().size() == 1);
    CHECK_FALSE(exists("tap7"));
}

TEST_CASE("I4 never ownerless: an intruder that attaches to a multi-queue tap before it has an owner gets nothing")
{
    const PrivateNetwork network;
    Service service;
    // Another user that attaches all the time. The test opens /dev/net/tun for it, because the node may be root's only.
    const UniqueFd tun{::open("/dev/net/tun", O_RDWR | O_CLOEXEC)};
    REQUIRE(tun);
    const pid_t intruder = ::fork();
    if (intruder == 0) {
        if (::setresuid(64999, 64999, 64999) != 0)
            ::_exit(1);
        ifreq request{};
        std::string{"tap7"}.copy(request.ifr_name, IFNAMSIZ - 1);
        request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
        while (::ioctl(tun.get(), TUNSETIFF, &request) != 0) {
        }
        ::ioctl(tun.get(), TUNSETPERSIST, 1UL);
        ::pause();
        ::_exit(0);
    }
    for (int round = 0; round < 200; ++round) {
        const auto acquired = service.acquire(1, Hold::fd, 2);
        const auto &links = service.links.take_in_events().links();
        // Only lo and the tap: the intruder has no device left.
        REQUIRE(links.size() == 2);
        for (const auto &[ifindex, link] : links)
            if (link.is_tap)
                REQUIRE(link.queues == 2U);
    }
    REQUIRE(::kill(intruder, SIGKILL) == 0);
    REQUIRE(::waitpid(intruder, nullptr, 0) == intruder);
    CHECK(service.links.take_in_events().links().size() == 1);
}

TEST_CASE("I9 whole or nothing: a tap is removed when the last step fails, even if its owner has it open")
{
    const PrivateNetwork network;
    Service service;
    TapRequest request;
    request.hold = Hold::name;
    request.queues = 2;
    UniqueFd own{::open("/dev/net/tun", O_RDWR | O_CLOEXEC)};
    service.tun.before_persistent = [&] {
        ifreq attach{};
        std::string{"tap7"}.copy(attach.ifr_name, IFNAMSIZ - 1);
        attach.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
        REQUIRE(::ioctl(own.get(), TUNSETIFF, &attach) == 0);
        throw TapError{ErrorCode::failed, "the kernel refused"};
    };
    REQUIRE_THROWS_AS(service.service.acquire(0, request), TapError);
    CHECK_FALSE(exists("tap7"));
    CHECK(service.service.sweep().empty());
}

TEST_CASE("a lease with an idle timeout ends when no process has had it open for that time")
{
    const PrivateNetwork network;
    Service service;
    TapRequest request;
    request.hold = Hold::name;
    request.idle_timeout_seconds = 60;
    service.service.acquire(64123, request);
    service.service.sweep();
    REQUIRE(service.service.next_deadline() == service.now + 60s);
    service.now += 60s;
    CHECK(service.service.sweep().size() == 1);
    CHECK_FALSE(exists("tap7"));
}

TEST_CASE("changes of a tap that is down are noticed, though the kernel does not announce them")
{
    const PrivateNetwork network;
    Service service;
    service.acquire(2, Hold::name);
    REQUIRE_FALSE(service.service.next_deadline());
    network.ip("link set tap7 down");
    REQUIRE(service.service.sweep().empty());
    CHECK(service.service.next_deadline() == service.now + 500ms);
    SECTION("it loses its tag: it belongs to no lease, and the rest of its lease ends")
    {
        network.ip("link set tap7 alias mine");
        CHECK(service.service.sweep().size() == 2);
        CHECK(exists("tap7"));
        CHECK_FALSE(exists("tap8"));
        CHECK(service.service.leases({}).empty());
        CHECK(service.service.next_deadline()); // it may get its tag back
    }
    SECTION("it is deleted")
    {
        network.ip("link delete tap7");
        CHECK(service.service.sweep().size() == 2);
        CHECK_FALSE(exists("tap8"));
        CHECK_FALSE(service.service.next_deadline());
    }
    SECTION("it comes up again")
    {
        network.ip("link set tap7 up");
        CHECK(service.service.sweep().empty());
        CHECK_FALSE(service.service.next_deadline());
    }
}

TEST_CASE("a tap that is down and lost its tag is noticed when it has the tag again")
{
    const PrivateNetwork network;
    Service service;
    const auto grant = service.acquire(1, Hold::name).grant;
    const auto alias = service.links.known_state().link(static_cast<int>(::if_nametoindex("tap7")))->alias;
    network.ip("link set tap7 alias mine down");
    REQUIRE(service.service.leases({}).empty());
    network.ip("link set tap7 alias '" + alias + "'");
    CHECK(service.service.leases({}) == std::vector<LeaseGrant>{grant});
}

TEST_CASE("10,000 events of a hostile holder between two acquires do not make the second fail")
{
    const PrivateNetwork network;
    Service service;
    const auto held = service.acquire(1, Hold::fd);
    for (int round = 0; round < 3; ++round) {
        for (unsigned long uid = 0; uid < 10'000; ++uid)
            REQUIRE(::ioctl(held.descriptors.front().get(), TUNSETOWNER, uid) == 0);
        const auto other = service.acquire(2, Hold::name).grant;
        CHECK(other.taps.size() == 2);
        service.service.release(other.lease);
        CHECK(service.service.sweep().size() == 2);
    }
}
