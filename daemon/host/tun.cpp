// SPDX-License-Identifier: MIT
//
// The tun driver's ioctls, each with its device and call named when it is refused.

#include "daemon/host/tun.hpp"

#include "common/error.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace qemutap {

namespace {

[[noreturn]] void refused(const std::string &call, const std::string &device)
{
    throw std::system_error{errno, std::generic_category(), call + " on " + device};
}

// Says nothing about the device.
bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR || error == EAGAIN;
}

ifreq request_for(const std::string &name, short flags)
{
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = flags;
    return request;
}

} // namespace

Tun::Tun(std::string tun_path, std::string vhost_path)
    : tun_path_{std::move(tun_path)}, vhost_path_{std::move(vhost_path)}, query_socket_{::socket(
                                                                              AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)}
{
    if (!query_socket_)
        refused("socket", "AF_UNIX");
}

// An empty UniqueFd where the name is in use.
UniqueFd Tun::open_queue(const std::string &name, short flags) const
{
    UniqueFd queue{::open(tun_path_.c_str(), O_RDWR | O_CLOEXEC)};
    if (!queue && is_shortage(errno))
        refused("open", tun_path_);
    if (!queue)
        throw TapError{ErrorCode::tun_unavailable,
                       "can't open " + tun_path_ + ": " + std::strerror(errno) +
                           "; the kernel module tun makes it (modprobe tun), and a container must be given it"};
    auto request = request_for(name, flags);
    if (::ioctl(queue.get(), TUNSETIFF, &request) == 0)
        return queue;
    if (errno == EBUSY || errno == EEXIST)
        return {};
    refused("TUNSETIFF", name);
}

std::optional<OpenTap> Tun::create(const std::string &name, uid_t owner, unsigned queues, bool open_all)
{
    // IFF_VNET_HDR always: QEMU takes it from the descriptor, and a queue opened by name must match.
    short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (queues > 1)
        flags |= IFF_MULTI_QUEUE;
    OpenTap tap{name, 0, {}};
    // IFF_TUN_EXCL: without it root attaches to whatever persistent tap has the name.
    auto first = open_queue(name, static_cast<short>(flags | IFF_TUN_EXCL));
    if (!first)
        return std::nullopt;
    if (::ioctl(first.get(), TUNSETOWNER, static_cast<unsigned long>(owner)) != 0)
        refused("TUNSETOWNER", name);
    auto request = request_for(name, 0);
    if (::ioctl(query_socket_.get(), SIOCGIFINDEX, &request) != 0)
        refused("SIOCGIFINDEX", name);
    tap.ifindex = request.ifr_ifindex;
    tap.queues.push_back(std::move(first));
    while (open_all && tap.queues.size() < queues) {
        auto further = open_queue(name, flags);
        if (!further)
            refused("TUNSETIFF of a further queue", name);
        tap.queues.push_back(std::move(further));
    }
    return tap;
}

std::vector<UniqueFd> Tun::open_vhost(unsigned count)
{
    std::vector<UniqueFd> descriptors;
    while (descriptors.size() < count) {
        descriptors.emplace_back(::open(vhost_path_.c_str(), O_RDWR | O_CLOEXEC));
        if (!descriptors.back() && is_shortage(errno))
            refused("open", vhost_path_);
        if (!descriptors.back())
            throw TapError{ErrorCode::vhost_unavailable,
                           "can't open " + vhost_path_ + ": " + std::strerror(errno) +
                               "; the kernel module vhost_net makes it (modprobe vhost_net), or ask for vhost 'auto'"};
    }
    return descriptors;
}

void Tun::set_persistent(const OpenTap &tap, bool persistent)
{
    if (::ioctl(tap.queues.front().get(), TUNSETPERSIST, persistent ? 1UL : 0UL) != 0)
        refused("TUNSETPERSIST", tap.name);
}

bool Tun::has_vhost() const
{
    return static_cast<bool>(UniqueFd{::open(vhost_path_.c_str(), O_RDWR | O_CLOEXEC)});
}

} // namespace qemutap
