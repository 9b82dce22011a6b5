// SPDX-License-Identifier: MIT
//
// Keeps the lanes, busy and idle, and the deletion and the owner that each busy lane works for.

#include "daemon/host/group_deletions.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>
#include <utility>

namespace qemutap {

namespace {

// Three releases in a row are deleted in parallel without a fork. If more follow, lanes that are done are used again.
constexpr std::size_t idle_lanes_kept = 3;

} // namespace

GroupDeletions::GroupDeletions()
    : events_{::epoll_create1(EPOLL_CLOEXEC)}
{
    if (!events_)
        throw std::system_error{errno, std::generic_category(), "epoll_create1"};
}

void GroupDeletions::watch(int fd) const
{
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(events_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        throw std::system_error{errno, std::generic_category(), "watching a deleting process (epoll_ctl)"};
}

void GroupDeletions::add_lane()
{
    lanes_.emplace_front();
    try {
        watch(lanes_.front().child.fd());
    } catch (...) {
        retire(lanes_.begin());
        throw;
    }
}

void GroupDeletions::prepare()
{
    while (idle_count() < idle_lanes_kept)
        add_lane();
}

GroupDeletions::Lanes::iterator GroupDeletions::idle_lane()
{
    const auto idle = [](const Lane &lane) { return !lane.deletion; };
    if (const auto found = std::find_if(lanes_.begin(), lanes_.end(), idle); found != lanes_.end())
        return found;
    add_lane();
    return lanes_.begin();
}

std::shared_ptr<const GroupDeletions::Outcome> GroupDeletions::begin(std::uint32_t group, uid_t owner,
                                                                     std::vector<int> ifindexes)
{
    take_answers();
    const auto lane = idle_lane();
    auto outcome = std::make_shared<Outcome>();
    Deletion deletion{owner, std::move(ifindexes), std::chrono::steady_clock::now(), outcome};
    try {
        lane->child.order(group);
    } catch (...) {
        retire(lane); // its child has ended; the next try uses another lane
        throw;
    }
    lane->deletion = std::move(deletion);
    return outcome;
}

void GroupDeletions::take_answers()
{
    for (auto next = lanes_.begin(); next != lanes_.end();) {
        const auto lane = next++;
        const auto answer = lane->child.take_answer();
        if (!answer)
            continue;
        if (!lane->deletion) { // an idle lane can only report that its child has ended
            retire(lane);
            continue;
        }
        lane->deletion->outcome->result = *answer;
        lane->deletion.reset();
        if (idle_count() > idle_lanes_kept)
            retire(lane);
    }
    retired_.remove_if([](const DeletionLane &child) { return child.collect(); });
}

// Does not wait for the child. When the child ends, events_ becomes readable and take_answers() collects it.
void GroupDeletions::retire(Lanes::iterator lane)
{
    lane->child.dismiss();
    retired_.push_back(std::move(lane->child));
    lanes_.erase(lane);
    try {
        watch(retired_.back().end_fd());
    } catch (const std::system_error &) {
        // take_answers() collects this child when another event makes events_ readable.
    }
}

std::size_t GroupDeletions::idle_count() const
{
    return static_cast<std::size_t>(
        std::count_if(lanes_.begin(), lanes_.end(), [](const Lane &lane) { return !lane.deletion; }));
}

bool GroupDeletions::is_under_way(int ifindex) const
{
    return std::any_of(lanes_.begin(), lanes_.end(), [&](const Lane &lane) {
        return lane.deletion && std::find(lane.deletion->ifindexes.begin(), lane.deletion->ifindexes.end(), ifindex) !=
                                    lane.deletion->ifindexes.end();
    });
}

std::vector<Undeleted> GroupDeletions::undeleted() const
{
    const auto now = std::chrono::steady_clock::now();
    std::vector<Undeleted> all;
    for (const auto &lane : lanes_)
        if (lane.deletion)
            all.push_back({lane.deletion->owner, lane.deletion->ifindexes.size(), now - lane.deletion->begun});
    return all;
}

} // namespace qemutap
