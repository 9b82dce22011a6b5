// SPDX-License-Identifier: MIT
//
// The steps by which a lease is given, and the steps by which leases end.

#include "daemon/core/tap_service.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"
#include "daemon/core/grants.hpp"
#include "daemon/core/refusal.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <set>
#include <stdexcept>
#include <utility>

namespace qemutap {

namespace {

// A process that attaches to a multi-queue tap in the instant before the tap has its owner costs one attempt.
constexpr int max_attempts = 16;
constexpr std::size_t occupants_named = 5;
// Each lease needs two rounds. A program with root rights may put back what a sweep deletes, so the number is limited.
constexpr int max_sweep_rounds = 4;
// Only a program with root rights can set a tap of this service down. The service sees within a second what the program
// then does to the tap.
constexpr auto down_tap_look_distance = std::chrono::milliseconds{500};
// The kernel finishes a deletion within 20 ms, or somewhat later on a busy machine. Only a deletion that takes longer
// than this counts against a limit. A user at the limit can therefore have a tap again at once after a release.
constexpr auto overdue_age = std::chrono::seconds{2};
// Limits the deletions that have begun and are not overdue yet. It is many times what a caller causes by releasing one
// tap after the other.
constexpr std::size_t max_deletions_per_user = 128;

std::vector<Undeleted> undeleted_of(std::vector<Undeleted> all, uid_t uid)
{
    std::erase_if(all, [&](const Undeleted &deletion) { return deletion.owner != uid; });
    return all;
}

std::size_t overdue_links(const std::vector<Undeleted> &deletions)
{
    std::size_t links = 0;
    for (const auto &deletion : deletions)
        links += deletion.age >= overdue_age ? deletion.links : 0;
    return links;
}

bool lacks_index(Setback setback)
{
    return setback == Setback::exhausted || setback == Setback::reserved_taken;
}

} // namespace

// The result of one attempt: a lease, or the reason why there is none.
struct TapService::Outcome {
    std::optional<Acquired> acquired;
    std::optional<Setback> setback;
    Profile profile = Profile::standard; // the address rule of the tap that caused the setback
};

TapService::TapService(AddressPlan plan, Limits limits, TapCreator &creator, HostLinks &host, NameMarks &marks,
                       std::function<std::string()> new_lease_id, std::function<Moment()> clock)
    : plan_{std::move(plan)},
      limits_{limits},
      creator_{creator},
      host_{host},
      marks_{marks},
      new_lease_id_{std::move(new_lease_id)},
      clock_{std::move(clock)},
      follower_{host_, marks_, clock_},
      upkeep_{follower_, host_, clock_}
{}

void TapService::reconfigure(AddressPlan plan, Limits limits)
{
    plan_ = std::move(plan);
    limits_ = limits;
}

void TapService::check_own_limit(uid_t uid, unsigned count)
{
    follower_.take_in_events();
    const auto undeleted = undeleted_of(host_.undeleted(), uid);
    const TapCount own{follower_.table().tap_count(uid), overdue_links(undeleted)};
    if (own.held + own.undeleted + count > limits_.max_taps_per_user)
        throw over_own_limit(uid, own, limits_.max_taps_per_user, count);
    if (undeleted.size() >= max_deletions_per_user)
        throw over_deletion_limit(uid, undeleted.size());
}

void TapService::check_common_limit(unsigned count) const
{
    const TapCount all{follower_.table().tap_count(), overdue_links(host_.undeleted())};
    if (all.held + all.undeleted + count > limits_.max_taps)
        throw over_common_limit(all, limits_.max_taps, count);
}

// Returns an empty list if the request wants no vhost, or if vhost is unavailable and not required.
std::vector<UniqueFd> TapService::open_vhost(const TapRequest &request)
{
    if (!wants_vhost(request))
        return {};
    try {
        return creator_.open_vhost(request.count * request.queues);
    } catch (const TapError &) {
        if (request.vhost == VhostChoice::required)
            throw;
        return {};
    }
}

Acquired TapService::acquire(uid_t uid, const TapRequest &request, const std::string &attendant)
{
    validate(request);
    if (request.attended && !is_attendant(attendant))
        throw TapError{ErrorCode::failed,
                       "can't attend a lease as " + quote(attendant) + ": the name does not fit into an alias"};
    check_own_limit(uid, request.count);
    check_common_limit(request.count);
    auto vhost = open_vhost(request);
    std::optional<Setback> setback;
    Profile profile = Profile::standard;
    for (int attempt = 0; attempt < max_attempts; ++attempt) {
        auto outcome = try_acquire({.lease = new_lease_id_(),
                                    .uid = uid,
                                    .request = request,
                                    .vhost = !vhost.empty(),
                                    .attendant = request.attended ? attendant : std::string{},
                                    .now = clock_()});
        if (outcome.acquired) {
            outcome.acquired->descriptors =
                join_descriptors(std::move(outcome.acquired->descriptors), std::move(vhost), request.queues);
            return std::move(*outcome.acquired);
        }
        profile = outcome.profile;
        // The known state may show a free prefix as taken, because the kernel deletes some routes without an event. One
        // fresh dump decides.
        const auto before = std::exchange(setback, outcome.setback);
        if (lacks_index(*setback) && before == setback)
            break;
        if (lacks_index(*setback))
            follower_.dump_again();
    }
    refuse(*setback, profile, uid, request);
}

TapService::Outcome TapService::try_acquire(const Terms &terms)
{
    const auto &lease = terms.lease;
    Outcome outcome;
    follower_.set_attempted_lease(lease);
    try {
        Attempt attempt{plan_, follower_.table(), follower_.recent(), creator_, host_, marks_, terms};
        for (unsigned made = 0; made < terms.request.count && !outcome.setback; ++made)
            outcome.setback = attempt.add_tap();
        outcome.profile = attempt.next_rule();
        if (!outcome.setback)
            outcome.setback = attempt.verify();
        if (!outcome.setback) {
            follower_.take_in_events();
            const auto *made = follower_.table().find(lease);
            if (!made)
                throw TapError{ErrorCode::host_refused, "somebody deleted the lease's devices as they were finished"};
            Acquired acquired{grant_of(plan_, follower_.table(), follower_.state(), lease, *made), {}};
            acquired.descriptors = attempt.hand_over();
            outcome.acquired = std::move(acquired);
        }
    } catch (...) {
        forget_attempt(lease);
        throw;
    }
    if (outcome.setback)
        forget_attempt(lease);
    follower_.set_attempted_lease({});
    return outcome;
}

// Drops the removed taps of the attempt: a lease that was never given has no end to report.
void TapService::forget_attempt(const std::string &lease)
{
    follower_.take_in_events();
    follower_.ending().forget_removed(lease);
    follower_.set_attempted_lease({});
}

void TapService::refuse(Setback setback, Profile profile, uid_t uid, const TapRequest &request) const
{
    if (const auto *reservation = plan_.reservation_of(uid, request.label);
        reservation && setback == Setback::reserved_taken)
        throw reserved_index_taken(
            plan_, *reservation, follower_.state().occupants(plan_.pool().subnet(reservation->index), occupants_named));
    if (setback == Setback::intruder)
        throw entered_each_time(max_attempts);
    if (setback == Setback::collision)
        throw collided_each_time(max_attempts);
    throw pool_exhausted(plan_, profile, request.count, follower_.table().tap_count(),
                         follower_.state().occupants(plan_.block(profile), occupants_named));
}

std::vector<LeaseGrant> TapService::leases(std::optional<uid_t> uid)
{
    follower_.ask_for_down_taps();
    return grants_of(plan_, follower_.table(), follower_.state(), uid);
}

std::optional<uid_t> TapService::owner_of(const std::string &lease)
{
    follower_.ask_for_down_taps();
    const auto *known = follower_.table().find(lease);
    if (!known)
        return std::nullopt;
    return follower_.table().tag(*known).uid;
}

bool TapService::is_attended_by(const std::string &lease, const std::string &attendant) const
{
    const auto *known = follower_.table().find(lease);
    return known && follower_.table().tag(*known).attendant == attendant;
}

void TapService::release(const std::string &lease)
{
    const auto *known = follower_.table().find(lease);
    if (!known)
        return;
    std::set<int> ifindexes;
    for (const auto &[position, ifindex] : known->taps)
        ifindexes.insert(ifindex);
    follower_.ending().condemn(std::move(ifindexes));
}

void TapService::attendant_left(const std::string &attendant)
{
    follower_.ending().condemn(follower_.table().attended_by(attendant));
}

void TapService::attendants_are(const std::set<std::string> &present)
{
    follower_.ending().condemn(follower_.table().deserted(present));
}

std::optional<Moment> TapService::next_deadline() const
{
    auto deadline = follower_.table().next_deadline();
    const auto at = [&](Moment moment) { deadline = deadline ? std::min(*deadline, moment) : moment; };
    if (const auto upkeep = upkeep_.next_deadline())
        at(*upkeep);
    const auto &down = follower_.state().down_taps();
    const auto ours = down.lower_bound(first_own_ifindex);
    if (ours == down.end() || *ours > last_own_ifindex)
        return deadline;
    const auto next_look = clock_() + down_tap_look_distance;
    return deadline ? std::min(*deadline, next_look) : next_look;
}

std::vector<EndedTap> TapService::sweep()
{
    follower_.ask_for_down_taps();
    // A removed tap may have belonged to a lease whose other taps must be deleted too, and no later event announces
    // that.
    for (int round = 0; round < max_sweep_rounds && remove_condemned(); ++round) {
    }
    return follower_.ending().report();
}

bool TapService::remove_condemned()
{
    auto &ending = follower_.ending();
    for (const int ifindex : ending.doom(clock_()))
        follower_.ask_for_link(ifindex);
    const auto by_owner = ending.condemn_doomed(clock_());
    if (by_owner.empty())
        return false;
    remove_each(by_owner);
    follower_.take_in_events();
    return true;
}

// Starts one deletion for each owner, so that no holder delays the end of another user's taps.
void TapService::remove_each(const std::map<uid_t, std::vector<int>> &by_owner)
{
    std::exception_ptr problem;
    for (const auto &[owner, ifindexes] : by_owner) {
        try {
            host_.remove(ifindexes, owner);
        } catch (...) {
            problem = std::current_exception();
        }
    }
    if (problem)
        std::rethrow_exception(problem);
}

bool TapService::needs_watching() const
{
    return follower_.table().tap_count() != 0 || !host_.undeleted().empty();
}

} // namespace qemutap
