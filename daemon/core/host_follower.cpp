// SPDX-License-Identifier: MIT
//
// Applies one changed link after the other, then removes the marks of names that no tap has any more.

#include "daemon/core/host_follower.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace qemutap {

HostFollower::HostFollower(HostLinks &host, NameMarks &marks, std::function<Moment()> clock)
    : host_{host},
      marks_{marks},
      clock_{std::move(clock)}
{
    take_in_events();
}

void HostFollower::follow(const HostState &state)
{
    std::vector<EndedTap> left; // taps that no longer have these names
    for (const int ifindex : host_.take_changed_links())
        follow_link(state, ifindex, left);
    unmark_free(left);
}

void HostFollower::follow_link(const HostState &state, int ifindex, std::vector<EndedTap> &left)
{
    std::optional<EndedTap> before;
    if (const auto *tap = table_.find_tap(ifindex))
        before = EndedTap{.name = tap->name, .tag = tap->tag, .queues = tap->queues};
    table_.update(ifindex, state.link(ifindex), clock_());
    const auto *after = table_.find_tap(ifindex);
    if (before)
        ending_.note_changed(before->tag.lease);
    if (after) {
        ending_.note_changed(after->tag.lease);
        keeper_.saw({.ifindex = ifindex, .name = after->name, .profile = after->tag.profile},
                    state.link(ifindex)->settings);
    } else {
        keeper_.forget(ifindex);
    }
    if (!before || (after && after->name == before->name))
        return;
    left.push_back(*before);
    if (after) {
        marks_.mark(after->name); // a program with root rights renamed the device
        return;
    }
    if (before->tag.lease != attempted_lease_)
        recent_.note_end(before->tag.profile, before->tag.index, before->tag.uid, clock_());
    ending_.note_removed(std::move(*before));
}

// Keeps the mark if a new tap already has the name.
void HostFollower::unmark_free(const std::vector<EndedTap> &left)
{
    for (const auto &tap : left)
        if (!table_.index_leased(tap.tag.profile, tap.tag.index) || !has_name(tap.name))
            marks_.unmark(tap.name);
}

bool HostFollower::has_name(const std::string &name) const
{
    return std::ranges::any_of(table_.leases(), [&](const auto &lease) {
        return std::ranges::any_of(lease.second.taps,
                                   [&](const auto &tap) { return table_.tap(tap.second).name == name; });
    });
}

void HostFollower::restore_marks()
{
    take_in_events();
    std::set<std::string> names;
    for (const auto &[id, lease] : table_.leases())
        for (const auto &[position, ifindex] : lease.taps)
            names.insert(table_.tap(ifindex).name);
    marks_.mark_only(names);
}

} // namespace qemutap
