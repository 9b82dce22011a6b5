// SPDX-License-Identifier: MIT
//
// Makes the taps of one lease step by step, and takes every step back on failure.

#include "daemon/core/attempt.hpp"

#include "common/error.hpp"
#include "common/ipv4.hpp"
#include "contract/hold.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

namespace qemutap {

namespace {

std::uint64_t seconds_of(Moment moment)
{
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(moment).count());
}

} // namespace

Attempt::Attempt(const AddressPlan &plan, const LeaseTable &table, const RecentIndexes &recent, TapCreator &creator,
                 HostLinks &host, NameMarks &marks, Terms terms)
    : plan_{plan},
      table_{table},
      recent_{recent},
      creator_{creator},
      host_{host},
      marks_{marks},
      terms_{std::move(terms)}
{}

Attempt::~Attempt()
{
    try {
        take_back();
    } catch (const std::exception &) {
        // A tap that could not be deleted belongs to an incomplete lease, which a later sweep ends, or the kernel
        // deletes it when the last process closes its descriptor.
    }
}

std::optional<Setback> Attempt::add_tap()
{
    auto tap = create_next();
    if (!tap)
        return reservation() ? Setback::reserved_taken : Setback::exhausted;
    // Check before the tap gets an address: an intruder must never hold a device that has one.
    if (tap->entered || (terms_.request.queues > 1 && has_intruder(host_.ask_for_link(tap->ifindex), *tap)))
        return Setback::intruder;
    const auto &[tag, plan] = promised_.back();
    host_.configure(*tap, tag, plan.port.host_mac);
    host_.add_address(*tap, plan.network.gateway);
    host_.bring_up(*tap);
    if (plan.route && !host_.add_route(*tap, *plan.route))
        return Setback::collision;
    taps_.push_back(std::move(*tap));
    return std::nullopt;
}

std::optional<OpenTap> Attempt::create_next()
{
    const auto &request = terms_.request;
    while (auto candidate = next_free()) {
        const auto &plan = candidate->plan;
        auto tap = create(plan.device);
        if (!tap)
            continue;
        made_.emplace(tap->ifindex, tap->name);
        promised_.push_back({TapTag{.lease = terms_.lease,
                                    .position = static_cast<unsigned>(taps_.size()),
                                    .count = request.count,
                                    .profile = next_rule(),
                                    .index = candidate->index,
                                    .ifindex = tap->ifindex,
                                    .uid = terms_.uid,
                                    .hold = request.hold,
                                    .mac = plan.port.guest_mac,
                                    .queues = request.queues,
                                    .vhost = terms_.vhost,
                                    .idle_timeout_seconds = request.idle_timeout_seconds,
                                    .attendant = terms_.attendant,
                                    .born_seconds = seconds_of(terms_.now),
                                    .label = request.label},
                             std::move(candidate->plan)});
        return tap;
    }
    return std::nullopt;
}

// Marks the name before the device exists, so that no program sees the device without its mark.
std::optional<OpenTap> Attempt::create(const std::string &name)
{
    const auto &request = terms_.request;
    marks_.mark(name);
    try {
        auto tap = creator_.create(
            name, terms_.uid,
            {.queues = request.queues, .open_all = rule_of(request.hold).gives_descriptors, .vnet = request.vnet});
        if (!tap)
            marks_.unmark(name);
        return tap;
    } catch (...) {
        marks_.unmark(name);
        throw;
    }
}

// The reservation for the next tap, or nullptr. Only the first tap of a lease can have one.
const Reservation *Attempt::reservation() const
{
    const bool may_have_one = taps_.empty() && rule_of(next_rule()).reservable && !terms_.request.label.empty();
    return may_have_one ? plan_.reservation_of(terms_.uid, terms_.request.label) : nullptr;
}

std::optional<unsigned> Attempt::next_index()
{
    if (const auto *reserved = reservation())
        return std::exchange(reservation_tried_, true) ? std::nullopt : std::optional{reserved->index};
    const auto rule = next_rule();
    auto &search = searches_[rule];
    if (!search)
        search.emplace(plan_, recent_, rule, terms_.uid, terms_.request.label, terms_.now);
    return search->next();
}

std::optional<Attempt::Candidate> Attempt::next_free()
{
    const auto rule = next_rule();
    while (const auto index = next_index()) {
        if (table_.index_leased(rule, *index))
            continue;
        auto plan = plan_.tap(rule, *index, terms_.lease);
        if (is_free(plan))
            return Candidate{*index, std::move(plan)};
    }
    return std::nullopt;
}

bool Attempt::is_free(const PlannedTap &plan) const
{
    const auto &state = host_.known_state();
    // The known state of the host does not contain the lease's own taps yet.
    const auto is_own = [&](const Ipv4Prefix &prefix) {
        return std::ranges::any_of(promised_, [&](const PromisedTap &tap) {
            return std::ranges::any_of(tap.plan.network.prefixes,
                                       [&](const Ipv4Prefix &own) { return own.overlaps(prefix); });
        });
    };
    return !plan_.is_excluded(plan.network) &&
           std::ranges::none_of(plan.network.prefixes,
                                [&](const Ipv4Prefix &prefix) { return state.occupied(prefix) || is_own(prefix); }) &&
           !state.name_taken(plan.device) && (plan.own_prefix.empty() || !state.numbered_name_taken(plan.own_prefix));
}

std::optional<Setback> Attempt::verify()
{
    auto &state = host_.take_in_events();
    for (std::size_t i = 0; i < taps_.size(); ++i) {
        const auto &tap = taps_[i];
        if (has_intruder(state, tap))
            return Setback::intruder;
        if (const auto broken = broken_promise(state, tap, promised_[i]); !broken.empty())
            throw TapError{ErrorCode::host_refused, "configured " + tap.name + ", but " + broken};
        for (const auto &prefix : promised_[i].plan.network.prefixes)
            if (state.occupied_by_others(tap.ifindex, prefix))
                return Setback::collision;
    }
    return std::nullopt;
}

std::vector<UniqueFd> Attempt::hand_over()
{
    std::vector<UniqueFd> descriptors;
    const auto &hold = rule_of(terms_.request.hold);
    if (hold.persistent)
        persist();
    if (hold.gives_descriptors)
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
                // A tap that stays persistent is deleted later: by its ifindex in take_back(), or by the next sweep as
                // part of an incomplete lease.
            }
        }
        throw;
    }
}

void Attempt::take_back()
{
    if (made_.empty())
        return;
    taps_.clear(); // the kernel deletes each non-persistent tap with its last descriptor
    const auto &state = host_.take_in_events();
    unmark_gone(state);
    std::vector<int> left;
    for (const auto &[ifindex, name] : made_) {
        const auto *link = state.link(ifindex);
        if (link && link->is_tap)
            left.push_back(ifindex);
    }
    if (left.empty())
        return;
    host_.remove(left, terms_.uid);
    unmark_gone(host_.take_in_events());
}

void Attempt::unmark_gone(const HostState &state)
{
    for (const auto &[ifindex, name] : made_)
        if (!state.link(ifindex))
            marks_.unmark(name);
}

} // namespace qemutap
