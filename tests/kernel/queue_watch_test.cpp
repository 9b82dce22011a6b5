// SPDX-License-Identifier: MIT
//
// The real kernel's announcements of queues: the watch reports foreign queues, even closed ones, and not its own.

#include "daemon/host/queue_watch.hpp"

#include "common/unique_fd.hpp"
#include "tests/kernel/private_network.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <string>

using namespace qemutap;

namespace {

UniqueFd attach(const std::string &name)
{
    UniqueFd tun{::open("/dev/net/tun", O_RDWR | O_CLOEXEC)};
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE;
    REQUIRE(::ioctl(tun.get(), TUNSETIFF, &request) == 0);
    return tun;
}

} // namespace

TEST_CASE("I4 never ownerless: an intruder that attached and left again is reported")
{
    const PrivateNetwork network;
    SECTION("no intruder")
    {
        const QueueWatch watch;
        const auto tap = attach("tap7");
        CHECK_FALSE(watch.heard_of_another("tap7"));
    }
    SECTION("an intruder that left")
    {
        const QueueWatch watch;
        const auto tap = attach("tap7");
        attach("tap7");
        CHECK(watch.heard_of_another("tap7"));
    }
    SECTION("an intruder at a tap whose name begins with the same letters")
    {
        const QueueWatch watch;
        const auto tap = attach("tap7");
        const auto other = attach("tap70");
        attach("tap70");
        CHECK_FALSE(watch.heard_of_another("tap7"));
    }
    SECTION("an intruder before the watch began")
    {
        const auto other = attach("tap7");
        attach("tap7");
        const QueueWatch watch;
        CHECK_FALSE(watch.heard_of_another("tap7"));
    }
}
