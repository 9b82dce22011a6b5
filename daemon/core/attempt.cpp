// SPDX-License-Identifier: MIT
//
// The order of work on a tap, and its reverse.

#include "daemon/core/attempt.hpp"

#include "common/error.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

namespace qemutap {

Attempt::Attempt(const AddressPlan &plan, const LeaseTable &table, TapCreator &creator, HostLinks &host,
                 NameMarks &marks, Terms terms)
    : plan_{plan}, table_{table}, creator_{creator}, host_{host}, marks_{marks}, terms_{std::move(terms)},
      start_{plan.search_start(terms_.uid, terms_.request.label)}
{}

Attempt::~Attempt()
{
    try {
        take_back();
    } catch (const std::exception &) {
        // What could not be deleted is of an incomplete lease, or ends with the descriptors of whoever has it.
    }
}

std::optional<Setback> Attempt::add_tap()
{
    auto tap = create_next();
    if (!tap)
        return Setback::exhausted;
    // At once: an intruder never gets a device that has an address.
    if (tap->entered || (terms_.request.queues > 1 && has_intruder(host_.reread(tap->ifindex), *tap)))
        return Setback::intruder;
    const auto &[tag, host_mac, gateway] = promised_.back();
    host_.configure(*tap, encode(tag), host_mac);
    host_.add_address(*tap, gateway);
    host_.bring_up(*tap);
    taps_.push_back(std::move(*tap));
    return std::nullopt;
}

std::optional<OpenTap> Attempt::create_next()
{
    const auto &request = terms_.request;
    while (const auto index = next_free_index()) {
        auto tap = create(plan_.device_name(*index));
        if (!tap)
            continue;
        made_.emplace(tap->ifindex, tap->name);
        promised_.push_back({TapTag{.lease = terms_.lease,
                                    .position = static_cast<unsigned>(taps_.size()),
                                    .count = request.count,
                                    .index = *index,
                                    .ifindex = tap->ifindex,
                                    .uid = terms_.uid,
                                    .hold = request.hold,
                                    .mac = plan_.guest_mac(*index),
                                    .queues = request.queues,
                                    .vhost = terms_.vhost,
                                    .idle_timeout_seconds = request.idle_timeout_seconds,
                                    .attendant = terms_.attendant,
                                    .label = request.label},
                             plan_.host_mac(*index), plan_.gateway(*index)});
        return tap;
    }
    return std::nullopt;
}

// Marked before the device is there for anybody to see.
std::optional<OpenTap> Attempt::create(const std::string &name)
{
    const auto &request = terms_.request;
    marks_.mark(name);
    try {
        auto tap = creator_.create(name, terms_.uid, request.queues, request.hold == Hold::fd);
        if (!tap)
            marks_.unmark(name);
        return tap;
    } catch (...) {
        marks_.unmark(name);
        throw;
    }
}

std::optional<unsigned> Attempt::next_free_index()
{
    const auto &state = host_.state();
    while (looked_at_ < plan_.size()) {
        const auto first = plan_.first_index();
        const auto index = first + (start_ - first + looked_at_++) % plan_.size();
        if (!table_.index_leased(index) && !plan_.is_excluded(index) && !state.occupied(plan_.subnet(index)) &&
            !state.name_taken(plan_.device_name(index)))
            return index;
    }
    return std::nullopt;
}

std::optional<Setback> Attempt::verify()
{
    auto &state = host_.refresh();
    for (std::size_t i = 0; i < taps_.size(); ++i) {
        const auto &tap = taps_[i];
        if (has_intruder(state, tap))
            return Setback::intruder;
        if (const auto broken = broken_promise(state, tap, promised_[i]); !broken.empty())
            throw TapError{ErrorCode::host_refused, "configured " + tap.name + ", but " + broken};
        if (state.occupied_beside(tap.ifindex, promised_[i].gateway.network()))
            return Setback::collision;
    }
    return std::nullopt;
}

std::vector<UniqueFd> Attempt::hand_over()
{
    std::vector<UniqueFd> descriptors;
    if (terms_.request.hold == Hold::name)
        persist();
    else
        for (auto &tap : taps_)
            std::move(tap.queues.begin(), tap.queues.end(), std::back_inserter(descriptors));
    made_.clear();
    return descriptors;
}

void Attempt::persist()
{
    try {
        for (const auto &tap : taps_)
            creator_.set_persistent(tap, true);
    } catch (...) {
        for (const auto &tap : taps_) {
            try {
                creator_.set_persistent(tap, false);
            } catch (const std::exception &) {
                // It is deleted by its ifindex then, or by the next sweep as part of an incomplete lease.
            }
        }
        throw;
    }
}

void Attempt::take_back()
{
    if (made_.empty())
        return;
    taps_.clear(); // with their last descriptors the kernel deletes them
    const auto &state = host_.refresh();
    unmark_gone(state);
    std::vector<int> left;
    for (const auto &[ifindex, name] : made_) {
        const auto *link = state.link(ifindex);
        if (link && link->is_tap)
            left.push_back(ifindex);
    }
    if (left.empty())
        return;
    host_.remove(left);
    unmark_gone(host_.refresh());
}

void Attempt::unmark_gone(const HostState &state)
{
    for (const auto &[ifindex, name] : made_)
        if (!state.link(ifindex))
            marks_.unmark(name);
}

} // namespace qemutap
