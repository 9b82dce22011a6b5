// SPDX-License-Identifier: MIT
//
// Builds leases from the tags of taps, and keeps the deadlines of idle leases.

#include "daemon/core/lease_table.hpp"

#include "contract/hold.hpp"

#include <algorithm>
#include <utility>

namespace qemutap {

std::optional<TapTag> own_tag(const Link &link)
{
    if (!link.is_tap)
        return std::nullopt;
    auto tag = decode_tag(link.alias);
    if (tag && tag->ifindex != link.ifindex)
        return std::nullopt;
    return tag;
}

void LeaseTable::update(int ifindex, const Link *link, Moment now)
{
    const auto tag = link ? own_tag(*link) : std::nullopt;
    turned_away_.erase(ifindex);
    const auto known = taps_.find(ifindex);
    if (known != taps_.end() && (!tag || known->second.tag != *tag))
        forget(ifindex, now);
    if (tag)
        place(ifindex,
              {link->name, *tag, link->carrier, link->persistent, link->up, link->group,
               link->queues.value_or(0) + link->disabled_queues},
              now);
}

void LeaseTable::place(int ifindex, HeldTap tap, Moment now)
{
    if (taps_.count(ifindex) == 0) {
        const auto lease = leases_.find(tap.tag.lease);
        if (lease != leases_.end() && lease->second.taps.count(tap.tag.position) != 0) {
            // Another tap has this position of the lease. While that tap exists, this link is not the tap that was
            // handed out.
            turned_away_.emplace(ifindex, std::move(tap));
            return;
        }
        join(ifindex, tap.tag);
    }
    const auto lease = tap.tag.lease;
    taps_.insert_or_assign(ifindex, std::move(tap));
    note_idleness(lease, leases_.at(lease), now);
}

void LeaseTable::join(int ifindex, const TapTag &tag)
{
    auto &lease = leases_[tag.lease];
    lease.taps.emplace(tag.position, ifindex);
    auto &indexes = indexes_[tag.profile];
    indexes.resize(std::max<std::size_t>(indexes.size(), tag.index + 1));
    ++indexes[tag.index];
    ++taps_of_[tag.uid];
    if (!tag.attendant.empty())
        attended_[tag.attendant].insert(ifindex);
}

void LeaseTable::forget(int ifindex, Moment now)
{
    const auto tag = taps_.at(ifindex).tag;
    taps_.erase(ifindex);
    if (const auto attended = attended_.find(tag.attendant); attended != attended_.end()) {
        attended->second.erase(ifindex);
        if (attended->second.empty())
            attended_.erase(attended);
    }
    --indexes_[tag.profile][tag.index];
    if (--taps_of_[tag.uid] == 0)
        taps_of_.erase(tag.uid);
    auto &lease = leases_.at(tag.lease);
    lease.taps.erase(tag.position);
    if (lease.taps.empty()) {
        set_deadline(tag.lease, lease, std::nullopt);
        leases_.erase(tag.lease);
    }
    const auto next = std::find_if(turned_away_.begin(), turned_away_.end(), [&](const auto &entry) {
        return entry.second.tag.lease == tag.lease && entry.second.tag.position == tag.position;
    });
    if (next == turned_away_.end())
        return;
    auto [successor, tap] = *next;
    turned_away_.erase(next);
    place(successor, std::move(tap), now);
}

void LeaseTable::note_idleness(const std::string &id, Lease &lease, Moment now)
{
    const auto timeout = std::chrono::seconds{tag(lease).idle_timeout_seconds};
    const bool in_use = std::any_of(lease.taps.begin(), lease.taps.end(),
                                    [&](const auto &tap) { return taps_.at(tap.second).carrier; });
    if (timeout == timeout.zero() || in_use)
        set_deadline(id, lease, std::nullopt);
    else if (!lease.deadline)
        set_deadline(id, lease, now + timeout);
}

void LeaseTable::set_deadline(const std::string &id, Lease &lease, std::optional<Moment> deadline)
{
    if (lease.deadline)
        deadlines_.erase({*lease.deadline, id});
    lease.deadline = deadline;
    if (lease.deadline)
        deadlines_.emplace(*lease.deadline, id);
}

const Lease *LeaseTable::find(const std::string &id) const
{
    const auto found = leases_.find(id);
    return found == leases_.end() ? nullptr : &found->second;
}

const HeldTap *LeaseTable::find_tap(int ifindex) const
{
    const auto found = taps_.find(ifindex);
    return found == taps_.end() ? nullptr : &found->second;
}

std::size_t LeaseTable::tap_count(uid_t uid) const
{
    const auto found = taps_of_.find(uid);
    return found == taps_of_.end() ? 0 : found->second;
}

std::set<int> LeaseTable::attended_by(const std::string &attendant) const
{
    const auto found = attended_.find(attendant);
    return found == attended_.end() ? std::set<int>{} : found->second;
}

std::set<int> LeaseTable::deserted(const std::set<std::string> &present) const
{
    std::set<int> deserted;
    for (const auto &[attendant, taps] : attended_)
        if (present.count(attendant) == 0)
            deserted.insert(taps.begin(), taps.end());
    return deserted;
}

std::set<std::string> LeaseTable::idle_since_deadline(Moment now) const
{
    std::set<std::string> idle;
    for (const auto &[due, id] : deadlines_) {
        if (due > now)
            break;
        idle.insert(id);
    }
    return idle;
}

std::optional<Moment> LeaseTable::next_deadline() const
{
    if (deadlines_.empty())
        return std::nullopt;
    return deadlines_.begin()->first;
}

} // namespace qemutap
