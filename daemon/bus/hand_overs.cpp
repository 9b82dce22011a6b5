// SPDX-License-Identifier: MIT
//
// socketpair(2), epoll(7), and SIOCOUTQ of unix(7): how much of what was sent has not been received.

#include "daemon/bus/hand_overs.hpp"

#include "common/descriptor_passing.hpp"

#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace qemutap {

namespace {

int require(int result, const char *what)
{
    if (result < 0)
        throw std::system_error{errno, std::generic_category(), what};
    return result;
}

// Negative where the kernel does not say.
int queued_on(const UniqueFd &socket) noexcept
{
    int bytes = 0;
    return ::ioctl(socket.get(), SIOCOUTQ, &bytes) < 0 ? -1 : bytes;
}

} // namespace

HandOvers::HandOvers()
    : watched_{require(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")}
{}

UniqueFd HandOvers::begin(std::vector<UniqueFd> descriptors, const std::string &lease, uid_t uid, Turnstile::Pass pass)
{
    std::array<int, 2> ends{};
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), "socketpair");
    UniqueFd ours{ends[0]};
    UniqueFd theirs{ends[1]};
    // The caller has nothing to say, and what it would send would be ours to keep.
    require(::shutdown(ours.get(), SHUT_RD), "shutdown");
    send_descriptors(ours.get(), descriptors);
    const int queued = require(queued_on(ours), "SIOCOUTQ");
    epoll_event event{};
    event.events = EPOLLOUT | EPOLLET;
    event.data.u64 = ++begun_;
    require(::epoll_ctl(watched_.get(), EPOLL_CTL_ADD, ours.get(), &event), "epoll_ctl");
    pending_.emplace(begun_, Pending{std::move(ours), queued, lease, uid, std::move(pass)});
    return theirs;
}

// A message that is being received is taken off the queue's size in two steps, and only the first one wakes us.
bool HandOvers::is_over(const Pending &pending, std::uint32_t events)
{
    return (events & (EPOLLHUP | EPOLLERR)) != 0 || queued_on(pending.end) < pending.queued;
}

void HandOvers::settle()
{
    std::vector<Turnstile::Pass> over;
    std::array<epoll_event, 16> events{};
    for (int count = 1; count > 0;) {
        count = ::epoll_wait(watched_.get(), events.data(), static_cast<int>(events.size()), 0);
        for (int i = 0; i < count; ++i) {
            const auto &event = events[static_cast<std::size_t>(i)];
            const std::uint64_t number = event.data.u64; // the structure is packed: no reference to it
            const auto found = pending_.find(number);
            if (found == pending_.end() || !is_over(found->second, event.events))
                continue;
            over.push_back(std::move(found->second.pass));
            pending_.erase(found);
        }
    }
}

std::vector<std::string> HandOvers::leases(uid_t uid) const
{
    std::vector<std::string> leases;
    for (const auto &[number, pending] : pending_)
        if (pending.uid == uid)
            leases.push_back(pending.lease);
    return leases;
}

} // namespace qemutap
