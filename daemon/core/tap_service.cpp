// SPDX-License-Identifier: MIT
//
// The order of work: how a lease is given and how leases end.

#include "daemon/core/tap_service.hpp"

#include "common/error.hpp"
#include "daemon/core/verify.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace qemutap {

namespace {

// A racer that attaches to a multi-queue tap in the instant before it has an owner costs one attempt.
constexpr int max_attempts = 4;
constexpr std::size_t occupants_named = 5;

std::string taps_in_words(std::size_t count)
{
    return std::to_string(count) + (count == 1 ? " tap" : " taps");
}

} // namespace

// One try at a lease: what it has so far, and where its search stands.
struct TapService::Attempt {
    std::string lease;
    unsigned start = 0;  // the index that the search began with
    unsigned passed = 0; // how many indexes after it were looked at
    bool refreshed = false;
    std::vector<OpenTap> taps;
    std::vector<PromisedTap> promised;
};

TapService::TapService(const AddressPlan &plan, Limits limits, TapCreator &creator, HostLinks &host,
                       std::function<std::string()> new_lease_id, std::function<Moment()> clock)
    : plan_{plan}, limits_{limits}, creator_{creator}, host_{host},
      new_lease_id_{std::move(new_lease_id)}, clock_{std::move(clock)}
{
    refresh();
}

HostState &TapService::refresh()
{
    auto &state = host_.refresh();
    follow(state);
    return state;
}

void TapService::follow(HostState &state)
{
    state_ = &state;
    for (const int ifindex : state.take_changed()) {
        std::optional<EndedTap> before;
        if (const auto *tap = table_.find_tap(ifindex))
            before = EndedTap{tap->name, tap->tag};
        table_.update(ifindex, state.link(ifindex), clock_());
        if (before && !table_.find_tap(ifindex))
            ended_.push_back(std::move(*before));
    }
}

void TapService::check_limits(uid_t uid, unsigned count)
{
    refresh();
    const auto own = table_.tap_count(uid);
    if (own + count > limits_.max_taps_per_user)
        throw TapError{ErrorCode::limit_exceeded, "uid " + std::to_string(uid) + " holds " + taps_in_words(own) +
                                                      " and may hold " + std::to_string(limits_.max_taps_per_user) +
                                                      ": " + std::to_string(count) + " more are too many"};
    if (table_.tap_count() + count > limits_.max_taps)
        throw TapError{ErrorCode::limit_exceeded, "all users together hold " + taps_in_words(table_.tap_count()) +
                                                      " and may hold " + std::to_string(limits_.max_taps) + ": " +
                                                      std::to_string(count) + " more are too many"};
}

Acquired TapService::acquire(uid_t uid, const TapRequest &request, const LastCheck &last_check)
{
    validate(request);
    check_limits(uid, request.count);
    std::vector<UniqueFd> vhost;
    const bool vhost_fits = descriptor_count(request.count, request.queues, true) <= max_descriptors;
    if (request.hold == Hold::fd && request.vhost != VhostChoice::no && vhost_fits) {
        try {
            vhost = creator_.open_vhost(request.count * request.queues);
        } catch (const TapError &) {
            if (request.vhost == VhostChoice::required)
                throw;
        }
    }
    for (int attempt = 0; attempt < max_attempts; ++attempt)
        if (auto acquired = try_acquire(uid, request, !vhost.empty(), last_check)) {
            auto &queues = acquired->descriptors;
            // Behind each tap's queues come its vhost descriptors.
            for (std::size_t tap = 0; tap < request.count && !vhost.empty(); ++tap) {
                const auto from = vhost.begin() + static_cast<std::ptrdiff_t>(tap * request.queues);
                const auto behind = queues.begin() + static_cast<std::ptrdiff_t>((2 * tap + 1) * request.queues);
                queues.insert(behind, std::make_move_iterator(from), std::make_move_iterator(from + request.queues));
            }
            return std::move(*acquired);
        }
    throw TapError{ErrorCode::host_refused, "another user attaches queues to each new multi-queue tap before it has "
                                            "its owner; gave up after " +
                                                std::to_string(max_attempts) + " attempts"};
}

std::optional<Acquired> TapService::try_acquire(uid_t uid, const TapRequest &request, bool vhost,
                                                const LastCheck &last_check)
{
    Attempt attempt;
    attempt.lease = new_lease_id_();
    attempt.start = plan_.search_start(uid, request.label);
    try {
        for (unsigned position = 0; position < request.count; ++position) {
            attempt.taps.push_back(create_next(attempt, uid, request));
            const auto &tap = attempt.taps.back();
            auto &[tag, host_mac, gateway] = attempt.promised.back();
            tag.position = position;
            tag.ifindex = tap.ifindex;
            tag.vhost = vhost;
            host_.configure(tap, encode(tag), host_mac);
            host_.add_address(tap, gateway);
            host_.bring_up(tap);
        }
        const auto &state = refresh();
        for (std::size_t i = 0; i < attempt.taps.size(); ++i) {
            const auto &tap = attempt.taps[i];
            if (has_intruder(state, tap)) {
                abandon(attempt);
                return std::nullopt;
            }
            if (const auto broken = broken_promise(state, tap, attempt.promised[i]); !broken.empty())
                throw TapError{ErrorCode::host_refused, "configured " + tap.name + ", but " + broken};
        }
        Acquired acquired{grant_of(attempt.lease, *table_.find(attempt.lease)), {}};
        last_check();
        if (request.hold == Hold::name)
            persist(attempt.taps);
        else
            for (auto &tap : attempt.taps)
                std::move(tap.queues.begin(), tap.queues.end(), std::back_inserter(acquired.descriptors));
        return acquired;
    } catch (...) {
        abandon(attempt);
        throw;
    }
}

// A lease that was never given does not end either: nobody is told of it.
void TapService::abandon(Attempt &attempt)
{
    attempt.taps.clear();
    refresh();
    ended_.erase(std::remove_if(ended_.begin(), ended_.end(),
                                [&](const EndedTap &tap) { return tap.tag.lease == attempt.lease; }),
                 ended_.end());
}

OpenTap TapService::create_next(Attempt &attempt, uid_t uid, const TapRequest &request)
{
    for (;;) {
        const auto index = next_free_index(attempt);
        if (!index) {
            // What was heard errs on the side of "taken": the kernel drops some routes without a word.
            if (std::exchange(attempt.refreshed, true))
                refuse_exhausted(request);
            follow(host_.refresh_all());
            attempt.passed = 0;
            continue;
        }
        auto tap = creator_.create(plan_.device_name(*index), uid, request.queues, request.hold == Hold::fd);
        if (!tap)
            continue;
        attempt.promised.push_back({TapTag{.lease = attempt.lease,
                                           .count = request.count,
                                           .index = *index,
                                           .uid = uid,
                                           .hold = request.hold,
                                           .mac = plan_.guest_mac(*index),
                                           .queues = request.queues,
                                           .idle_timeout_seconds = request.idle_timeout_seconds,
                                           .label = request.label},
                                    plan_.host_mac(*index), plan_.gateway(*index)});
        return std::move(*tap);
    }
}

std::optional<unsigned> TapService::next_free_index(Attempt &attempt) const
{
    while (attempt.passed < plan_.size()) {
        const auto first = plan_.first_index();
        const auto index = first + (attempt.start - first + attempt.passed++) % plan_.size();
        const bool own = std::any_of(attempt.promised.begin(), attempt.promised.end(),
                                     [&](const PromisedTap &tap) { return tap.tag.index == index; });
        if (!own && !table_.index_leased(index) && !plan_.is_excluded(index) &&
            !state_->occupied(plan_.subnet(index)) && !state_->name_taken(plan_.device_name(index)))
            return index;
    }
    return std::nullopt;
}

void TapService::refuse_exhausted(const TapRequest &request) const
{
    const auto &settings = plan_.settings();
    std::string text = "no free subnet for " + taps_in_words(request.count) + " in pool " + settings.pool.text() +
                       " (/" + std::to_string(settings.prefix_length) + ", " + settings.device_prefix +
                       std::to_string(plan_.first_index()) + " to " + settings.device_prefix +
                       std::to_string(plan_.last_index()) + "): " + taps_in_words(table_.tap_count()) + " leased";
    for (const auto &occupant : state_->occupants(settings.pool, occupants_named))
        text += ", " + occupant;
    throw TapError{ErrorCode::pool_exhausted, text};
}

void TapService::persist(const std::vector<OpenTap> &taps)
{
    try {
        for (const auto &tap : taps)
            creator_.set_persistent(tap, true);
    } catch (...) {
        for (const auto &tap : taps) {
            try {
                creator_.set_persistent(tap, false);
            } catch (const std::exception &) {
                // Then the tap outlives us as part of an incomplete lease, and the next sweep takes it.
            }
        }
        throw;
    }
}

LeaseGrant TapService::grant_of(const std::string &id, const Lease &lease) const
{
    const auto &common = table_.tag(lease);
    LeaseGrant grant{id, common.label, common.uid, common.hold, common.idle_timeout_seconds, {}};
    for (const auto &[position, ifindex] : lease.taps) {
        const auto &[name, tag, carrier, persistent, up, group] = table_.tap(ifindex);
        TapGrant tap{name, tag.index, {}, {}, 0, tag.mac, tag.queues, tag.vhost};
        const auto addresses = state_->addresses(ifindex);
        const auto planned = plan_.gateway(tag.index);
        auto own = std::find_if(addresses.begin(), addresses.end(),
                                [&](const HostAddress &address) { return address.local == planned; });
        if (own == addresses.end())
            own = addresses.begin(); // given under other settings
        if (own != addresses.end()) {
            tap.gateway = own->local.address;
            tap.client = client_address(tap.gateway);
            tap.prefix_length = own->local.length;
        }
        grant.taps.push_back(std::move(tap));
    }
    return grant;
}

std::vector<LeaseGrant> TapService::leases(std::optional<uid_t> uid)
{
    refresh();
    std::vector<LeaseGrant> grants;
    for (const auto &[id, lease] : table_.leases())
        if (!uid || table_.tag(lease).uid == *uid)
            grants.push_back(grant_of(id, lease));
    std::sort(grants.begin(), grants.end(),
              [](const LeaseGrant &a, const LeaseGrant &b) { return a.taps.front().index < b.taps.front().index; });
    return grants;
}

std::optional<uid_t> TapService::owner_of(const std::string &lease)
{
    refresh();
    const auto *known = table_.find(lease);
    if (!known)
        return std::nullopt;
    return table_.tag(*known).uid;
}

void TapService::release(const std::string &lease)
{
    if (const auto *known = table_.find(lease))
        for (const auto &[position, ifindex] : known->taps)
            condemned_.insert(ifindex);
}

std::vector<EndedTap> TapService::sweep()
{
    refresh();
    suspects_.merge(table_.take_suspects(clock_()));
    // Asked for anew before they end: a carrier that came back is told with up to a second's delay, and what
    // happens to a link that is down is not told at all.
    for (const int ifindex : table_.doomed(suspects_, clock_()))
        follow(host_.reread(ifindex));
    for (const int ifindex : condemned_)
        if (const auto *link = state_->link(ifindex); link && !link->up)
            follow(host_.reread(ifindex));
    const auto doomed = table_.doomed(suspects_, clock_());
    condemned_.insert(doomed.begin(), doomed.end());
    std::vector<int> ours;
    std::copy_if(condemned_.begin(), condemned_.end(), std::back_inserter(ours),
                 [&](int ifindex) { return table_.find_tap(ifindex) != nullptr; });
    if (!ours.empty()) {
        host_.remove(ours);
        refresh();
    }
    condemned_.clear();
    suspects_.clear();
    return std::exchange(ended_, {});
}

} // namespace qemutap
