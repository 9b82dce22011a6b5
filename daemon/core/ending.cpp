// SPDX-License-Identifier: MIT
//
// The rules by which leases end, and the steps from one state to the next.

#include "daemon/core/ending.hpp"

#include <algorithm>
#include <utility>

namespace qemutap {

bool is_over(const LeaseTable &table, const Lease &lease, Moment now)
{
    const auto &common = table.tag(lease);
    if (rule_of(common.hold).ended_by_service && lease.taps.size() != common.count)
        return true;
    const bool has_more_queues = std::ranges::any_of(
        lease.taps, [&](const auto &held) { return table.tap(held.second).queues > common.queues; });
    return has_more_queues || (lease.deadline && *lease.deadline <= now);
}

bool is_abandoned(const HeldTap &tap)
{
    const bool half_deleted = !tap.up && tap.group != live_group;
    const bool left = !rule_of(tap.tag.hold).persistent && tap.persistent && !tap.carrier;
    return half_deleted || left;
}

void Ending::forget_removed(const std::string &lease)
{
    std::erase_if(removed_, [&](const EndedTap &tap) { return tap.tag.lease == lease; });
}

std::vector<int> Ending::doomed_taps(Moment now) const
{
    std::vector<int> doomed;
    for (const auto &id : suspects_) {
        const auto *lease = table_.find(id);
        if (!lease)
            continue;
        const bool over = is_over(table_, *lease, now);
        for (const auto &[position, ifindex] : lease->taps)
            if (over || is_abandoned(table_.tap(ifindex)))
                doomed.push_back(ifindex);
    }
    return doomed;
}

std::vector<int> Ending::doom(Moment now)
{
    suspects_.merge(std::exchange(changed_, {}));
    suspects_.merge(table_.idle_since_deadline(now));
    return doomed_taps(now);
}

std::map<uid_t, std::vector<int>> Ending::condemn_doomed(Moment now)
{
    const auto doomed = doomed_taps(now);
    condemned_.insert(doomed.begin(), doomed.end());
    std::map<uid_t, std::vector<int>> by_owner;
    for (const int ifindex : condemned_)
        if (const auto *tap = table_.find_tap(ifindex))
            by_owner[tap->tag.uid].push_back(ifindex);
    return by_owner;
}

std::vector<EndedTap> Ending::report()
{
    suspects_.clear();
    condemned_.clear();
    return std::exchange(removed_, {});
}

} // namespace qemutap
