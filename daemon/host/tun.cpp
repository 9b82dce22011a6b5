// SPDX-License-Identifier: MIT
//
// Calls the tun driver's ioctls. If one fails, the exception names the device and the call.

#include "daemon/host/tun.hpp"

#include "common/error.hpp"
#include "common/unique_fd.hpp"
#include "daemon/host/queue_watch.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <system_error>
#include <utility>

namespace qemutap {

namespace {

[[noreturn]] void refused(const std::string &call, const std::string &device)
{
    throw std::system_error{errno, std::generic_category(), call + " on " + device};
}

// True for an error that says nothing about the device.
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

std::string vhost_refusal(const std::string &path, int error)
{
    return "can't open " + path + ": " + std::strerror(error) +
           "; the kernel module vhost_net makes it (modprobe vhost_net), or ask for vhost 'auto'";
}

int random_own_ifindex()
{
    std::random_device random;
    return std::uniform_int_distribution{first_own_ifindex, last_own_ifindex}(random);
}

} // namespace

Tun::Tun(std::string tun_path, std::string vhost_path)
    : tun_path_{std::move(tun_path)},
      vhost_path_{std::move(vhost_path)},
      next_ifindex_{random_own_ifindex()}
{}

UniqueFd Tun::open_tun() const
{
    UniqueFd queue{::open(tun_path_.c_str(), O_RDWR | O_CLOEXEC)};
    if (!queue && is_shortage(errno))
        refused("open", tun_path_);
    if (!queue)
        throw TapError{ErrorCode::tun_unavailable,
                       "can't open " + tun_path_ + ": " + std::strerror(errno) +
                           (errno == EACCES
                                ? "; `chmod 666 " + tun_path_ + "` lets the service's user, as udev does"
                                : "; the kernel module tun makes it (modprobe tun), and a container must be given it")};
    return queue;
}

int Tun::take_ifindex()
{
    return std::exchange(next_ifindex_, next_ifindex_ == last_own_ifindex ? first_own_ifindex : next_ifindex_ + 1);
}

std::optional<OpenTap> Tun::create(const std::string &name, uid_t owner, const TapShape &shape)
{
    short flags = IFF_TAP | IFF_NO_PI;
    // QEMU asks the descriptor for this flag. Each further queue must have the same flags.
    if (shape.vnet)
        flags |= IFF_VNET_HDR;
    if (shape.queues > 1)
        flags |= IFF_MULTI_QUEUE;
    OpenTap tap{name, take_ifindex(), {}, false};
    tap.queues.push_back(open_tun());
    const int first = tap.queues.front().get();
    if (::ioctl(first, TUNSETIFINDEX, &tap.ifindex) != 0)
        refused("TUNSETIFINDEX", name);
    // The kernel lets no second process attach to a tap with one queue, so only a multi-queue tap needs the watch.
    const auto watch = shape.queues > 1 ? std::optional<QueueWatch>{std::in_place} : std::nullopt;
    // Without IFF_TUN_EXCL, root would attach to an existing persistent tap of this name.
    auto request = request_for(name, static_cast<short>(flags | IFF_TUN_EXCL));
    if (::ioctl(first, TUNSETIFF, &request) != 0) {
        if (errno == EBUSY || errno == EEXIST)
            return std::nullopt;
        refused("TUNSETIFF", name);
    }
    if (::ioctl(first, TUNSETOWNER, static_cast<unsigned long>(owner)) != 0)
        refused("TUNSETOWNER", name);
    tap.entered = watch && watch->heard_of_another(name);
    request = request_for(name, flags);
    while (shape.open_all && tap.queues.size() < shape.queues) {
        tap.queues.push_back(open_tun());
        if (::ioctl(tap.queues.back().get(), TUNSETIFF, &request) != 0)
            refused("TUNSETIFF of a further queue", name);
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
            throw TapError{ErrorCode::vhost_unavailable, vhost_refusal(vhost_path_, errno)};
    }
    return descriptors;
}

void Tun::set_persistent(const OpenTap &tap, bool persistent)
{
    if (::ioctl(tap.queues.front().get(), TUNSETPERSIST, persistent ? 1UL : 0UL) != 0)
        refused("TUNSETPERSIST", tap.name);
}

std::string Tun::vhost_problem() const
{
    struct stat facts {};
    if (::faccessat(AT_FDCWD, vhost_path_.c_str(), R_OK | W_OK, AT_EACCESS) != 0 ||
        ::stat(vhost_path_.c_str(), &facts) != 0)
        return vhost_refusal(vhost_path_, errno);
    return S_ISCHR(facts.st_mode) ? std::string{} : vhost_refusal(vhost_path_, ENODEV);
}

} // namespace qemutap
