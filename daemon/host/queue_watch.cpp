// SPDX-License-Identifier: MIT
//
// Reads the kernel's announcements from a socket and counts the ones about one device's queues.

#include "daemon/host/queue_watch.hpp"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>

namespace qemutap {

namespace {

constexpr unsigned kernel_group = 1; // group 2 carries the events of udev
constexpr std::size_t announcement_bytes = 4096;

} // namespace

QueueWatch::QueueWatch()
    : socket_{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT)}
{
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = kernel_group;
    if (!socket_ || ::bind(socket_.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0)
        throw std::system_error{errno, std::generic_category(), "can't hear of new queues (NETLINK_KOBJECT_UEVENT)"};
}

bool QueueWatch::heard_of_another(const std::string &name) const
{
    const auto wanted = "add@/devices/virtual/net/" + name + "/queues/tx-";
    unsigned queues = 0;
    for (;;) {
        std::array<char, announcement_bytes> buffer;
        sockaddr_nl sender{};
        socklen_t length = sizeof sender;
        const auto received =
            ::recvfrom(socket_.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr *>(&sender), &length);
        if (received < 0 && errno == EINTR)
            continue;
        if (received < 0)
            return errno != EAGAIN || queues > 1;
        const std::string_view text{buffer.data(), static_cast<std::size_t>(received)};
        if (sender.nl_pid == 0 && text.substr(0, wanted.size()) == wanted)
            ++queues;
    }
}

} // namespace qemutap
