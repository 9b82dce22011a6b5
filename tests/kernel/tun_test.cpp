// SPDX-License-Identifier: MIT
//
// Taps from the real tun driver: which users can open them, how long they exist, and each refusal as an error.

#include "daemon/host/tun.hpp"

#include "common/error.hpp"
#include "tests/kernel/private_network.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <system_error>

using namespace qemutap;

namespace {

constexpr uid_t owner = 64123;

bool exists(const std::string &name)
{
    return ::if_nametoindex(name.c_str()) != 0;
}

// The errno that `work` returns in a process of this user.
int as_user(uid_t uid, const std::function<int()> &work)
{
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(::setresuid(uid, uid, uid) == 0 ? work() : 255);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

// Attaches a queue through an open descriptor, because the device node may be closed to the user.
int attach(int tun, const char *name, short flags)
{
    ifreq request{};
    std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_flags = flags;
    return ::ioctl(tun, TUNSETIFF, &request) == 0 ? 0 : errno;
}

UniqueFd open_tun()
{
    UniqueFd tun{::open("/dev/net/tun", O_RDWR | O_CLOEXEC)};
    REQUIRE(tun);
    return tun;
}

ErrorCode refusal(const std::function<void()> &work)
{
    try {
        work();
    } catch (const TapError &error) {
        return error.code();
    }
    FAIL("the call succeeded");
    return ErrorCode::failed;
}

} // namespace

TEST_CASE("a tap lives as long as its descriptors")
{
    const PrivateNetwork network;
    Tun tun;
    {
        const auto tap = tun.create("tap7", owner, {});
        REQUIRE(tap);
        CHECK(tap->ifindex == static_cast<int>(::if_nametoindex("tap7")));
        CHECK(tap->ifindex >= first_own_ifindex);
        CHECK(tap->ifindex <= last_own_ifindex);
        CHECK(tap->queues.size() == 1);
    }
    CHECK_FALSE(exists("tap7"));
}

TEST_CASE("a persistent tap outlives its descriptors until it is no longer persistent")
{
    const PrivateNetwork network;
    Tun tun;
    {
        const auto tap = tun.create("tap7", owner, {});
        tun.set_persistent(*tap, true);
    }
    CHECK(exists("tap7"));
    network.ip("tuntap del tap7 mode tap");
    {
        const auto tap = tun.create("tap7", owner, {});
        tun.set_persistent(*tap, true);
        tun.set_persistent(*tap, false);
    }
    CHECK_FALSE(exists("tap7"));
}

TEST_CASE("I4 never ownerless: only the owner can attach")
{
    const PrivateNetwork network;
    Tun tun;
    {
        const auto tap = tun.create("tap7", owner, {});
        tun.set_persistent(*tap, true);
    }
    const auto queue = open_tun();
    const auto try_it = [&] { return attach(queue.get(), "tap7", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR); };
    CHECK(as_user(owner + 1, try_it) == EPERM);
    CHECK(as_user(owner, try_it) == 0);
}

TEST_CASE("I2 no collision: a name in use is not attached to, whatever device has it")
{
    const PrivateNetwork network;
    Tun tun;
    network.ip("tuntap add tap8 mode tap");
    network.ip("link add tap9 type bridge");
    network.ip("link add other type bridge");
    network.ip("link property add dev other altname tap10");
    const auto held = tun.create("tap11", owner, {});
    for (const char *name : {"tap8", "tap9", "tap10", "tap11"})
        CHECK_FALSE(tun.create(name, owner, {}));
}

TEST_CASE("a multi-queue tap is created with all its queues, or with one and its owner attaches the others")
{
    const PrivateNetwork network;
    Tun tun;
    const auto whole = tun.create("tap7", owner, {.queues = 4});
    CHECK(whole->queues.size() == 4);
    const auto by_name = tun.create("tap8", owner, {.queues = 4, .open_all = false});
    CHECK(by_name->queues.size() == 1);
    tun.set_persistent(*by_name, true);
    const auto queue = open_tun();
    CHECK(as_user(owner, [&] {
              return attach(queue.get(), "tap8", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
          }) == 0);
}

TEST_CASE("a tap can be made without virtio headers before its frames, on all of its queues")
{
    const PrivateNetwork network;
    Tun tun;
    const auto tap = tun.create("tap7", owner, {.queues = 2, .vnet = false});
    REQUIRE(tap->queues.size() == 2);
    for (const auto &queue : tap->queues) {
        ifreq request{};
        REQUIRE(::ioctl(queue.get(), TUNGETIFF, &request) == 0);
        CHECK((request.ifr_flags & IFF_VNET_HDR) == 0);
    }
}

TEST_CASE("the descriptors' flags show QEMU the tap's properties")
{
    const PrivateNetwork network;
    Tun tun;
    const auto tap = tun.create("tap7", owner, {.queues = 2});
    for (const auto &queue : tap->queues) {
        ifreq request{};
        REQUIRE(::ioctl(queue.get(), TUNGETIFF, &request) == 0);
        CHECK(std::string{request.ifr_name} == "tap7");
        CHECK((request.ifr_flags & (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE)) ==
              (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE));
        CHECK(::fcntl(queue.get(), F_GETFD) == FD_CLOEXEC);
    }
}

TEST_CASE("a missing /dev/net/tun or /dev/vhost-net is an error that names it")
{
    const PrivateNetwork network;
    Tun tun{"/nonexistent/tun", "/nonexistent/vhost-net"};
    CHECK(refusal([&] { tun.create("tap7", owner, {}); }) == ErrorCode::tun_unavailable);
    CHECK(refusal([&] { tun.open_vhost(1); }) == ErrorCode::vhost_unavailable);
    CHECK(tun.vhost_problem().find("/nonexistent/vhost-net") != std::string::npos);
}

TEST_CASE("a device that is not the tun device gives the kernel's error, with the call in its text")
{
    const PrivateNetwork network;
    Tun tun{"/dev/null", "/dev/null"};
    REQUIRE_THROWS_AS(tun.create("tap7", owner, {}), std::system_error);
    CHECK(tun.vhost_problem().empty());
    CHECK(tun.open_vhost(3).size() == 3);
}

TEST_CASE("a descriptor limit reached within a multi-queue tap leaves nothing")
{
    const PrivateNetwork network;
    Tun tun;
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    // Two descriptors more than now: enough for the second queue and not for the third.
    const UniqueFd next{::dup(2)};
    const rlimit tight{static_cast<rlim_t>(next.get()) + 3, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
    std::optional<std::system_error> refusal;
    try {
        tun.create("tap7", owner, {.queues = 4});
    } catch (const std::system_error &error) {
        refusal = error;
    }
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    REQUIRE(refusal);
    CHECK(refusal->code() == std::errc::too_many_files_open);
    CHECK_FALSE(exists("tap7"));
}
