// SPDX-License-Identifier: MIT
//
// Limits how often all taps are queried, and puts back one tap after the other.

#include "daemon/core/settings_upkeep.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

namespace qemutap {

namespace {

// A query of a thousand taps' settings takes ten milliseconds, and more while links are added and removed. These
// queries get a twentieth of all time. After each event that wakes the daemon, a query follows within
// longest_look_distance.
constexpr int look_share = 20;
constexpr Moment longest_look_distance = std::chrono::milliseconds{800};
constexpr auto problem_distance = std::chrono::seconds{10};

} // namespace

SettingsUpkeep::SettingsUpkeep(HostFollower &follower, HostLinks &host, std::function<Moment()> clock)
    : follower_{follower},
      host_{host},
      clock_{std::move(clock)}
{}

// If the last query is too recent, a later turn makes the query. After that, none follows until an event wakes the
// daemon.
bool SettingsUpkeep::look_at_all()
{
    const auto before = clock_();
    if (follower_.table().tap_count() == 0)
        return false;
    if (before < next_look_) {
        look_owed_ = true;
        return false;
    }
    follower_.ask_for_all_taps();
    const auto after = clock_();
    next_look_ = after + std::min(look_share * (after - before), longest_look_distance);
    look_owed_ = false;
    return true;
}

void SettingsUpkeep::note_inherited()
{
    const auto &table = follower_.table();
    for (const auto &[id, lease] : table.leases())
        for (const auto &[position, ifindex] : lease.taps)
            inherited_.insert(ifindex);
}

void SettingsUpkeep::put_back(int ifindex)
{
    follower_.ask_for_link(ifindex);
    const auto &table = follower_.table();
    const auto *tap = table.find_tap(ifindex);
    if (!tap)
        return;
    const KeptTap kept{.ifindex = ifindex, .name = tap->name, .profile = tap->tag.profile};
    const auto found = follower_.state().link(ifindex)->settings;
    host_.restore_settings(ifindex);
    follower_.take_in_known();
    if (table.find_tap(ifindex))
        follower_.keeper().put_back(kept, found, follower_.state().link(ifindex)->settings,
                                    inherited_.erase(ifindex) != 0, clock_());
}

SettingsReport SettingsUpkeep::keep()
{
    const bool looked = look_at_all();
    const bool is_first = std::exchange(first_look_, false);
    if (is_first)
        note_inherited();
    SettingsReport report;
    auto &keeper = follower_.keeper();
    for (const int ifindex : keeper.due(clock_())) {
        try {
            put_back(ifindex);
        } catch (const std::system_error &error) {
            const auto now = clock_();
            keeper.failed(ifindex, now);
            if (now >= next_problem_report_)
                report.problems.push_back(error.what());
            next_problem_report_ = std::max(next_problem_report_, now + problem_distance);
        }
    }
    report.put_back = keeper.take_reports(clock_());
    if (is_first || looked)
        report.host_wide = host_wide_watch_.news(host_.host_wide_values());
    return report;
}

std::optional<Moment> SettingsUpkeep::next_deadline() const
{
    auto deadline = follower_.keeper().next_deadline();
    if (look_owed_ && follower_.table().tap_count() != 0)
        deadline = deadline ? std::min(*deadline, next_look_) : next_look_;
    return deadline;
}

} // namespace qemutap
