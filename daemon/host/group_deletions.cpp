// SPDX-License-Identifier: MIT
//
// One thread for each deletion: it is made in far less time than it then waits.

#include "daemon/host/group_deletions.hpp"

#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <exception>
#include <system_error>
#include <utility>

namespace qemutap {

namespace {

void delete_group(RouteRequests &requests, std::uint32_t group, const std::string &what)
{
    auto message = make_message(RTM_DELLINK, 0);
    ifinfomsg header{};
    require_libnl(nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO), "a deletion");
    require_libnl(nla_put_u32(message.get(), IFLA_GROUP, group), "a deletion");
    try {
        requests.perform(*message, what);
    } catch (const std::system_error &error) {
        if (error.code() != std::errc::no_such_device)
            throw;
    }
}

} // namespace

GroupDeletions::GroupDeletions() : ended_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)}
{
    if (!ended_)
        throw std::system_error{errno, std::generic_category(), "eventfd"};
}

GroupDeletions::~GroupDeletions()
{
    for (auto &lane : lanes_)
        if (lane.thread.joinable())
            lane.thread.join();
}

std::future<void> GroupDeletions::begin(std::uint32_t group, const std::string &what)
{
    auto &lane = lanes_[next_];
    if (lane.thread.joinable())
        lane.thread.join();
    std::promise<void> promise;
    auto outcome = promise.get_future();
    const auto act = [&requests = lane.requests, group, what, ended = ended_.get()](std::promise<void> told) {
        try {
            delete_group(requests, group, what);
            told.set_value();
        } catch (...) {
            told.set_exception(std::current_exception());
        }
        ::eventfd_write(ended, 1); // last: who wakes by it finds the outcome there
    };
    try {
        lane.thread = std::thread{act, std::move(promise)};
    } catch (const std::system_error &error) {
        throw std::system_error{error.code(), "a thread for " + what};
    }
    next_ = (next_ + 1) % lanes_.size();
    return outcome;
}

void GroupDeletions::forget_ended()
{
    eventfd_t count = 0;
    ::eventfd_read(ended_.get(), &count);
}

} // namespace qemutap
