// SPDX-License-Identifier: MIT
//
// The order of work: how a lease is given and how leases end.

#include "daemon/core/tap_service.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"
#include "daemon/core/grants.hpp"
#include "daemon/core/refusal.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace qemutap {

namespace {

// A racer that attaches to a multi-queue tap in the instant before it has an owner costs one attempt.
constexpr int max_attempts = 16;
constexpr std::size_t occupants_named = 5;
// Of each lease it takes two; somebody with root may put back what we delete.
constexpr int max_sweep_rounds = 4;
// Only somebody with root sets a tap of ours down; what they do to it then is seen within a second.
constexpr auto down_tap_look_distance = std::chrono::milliseconds{500};
// A look at the settings of a thousand taps takes ten milliseconds, and more where links come and go meanwhile: of all
// time it gets a twentieth, and after whatever woke the daemon it comes within this.
constexpr int look_share = 20;
constexpr Moment longest_look_distance = std::chrono::milliseconds{800};
constexpr auto problem_distance = std::chrono::seconds{10};
// The kernel ends a deletion within 20 ms, or somewhat later on a busy machine. Only one that takes longer than this
// counts against a limit, so that a user at the limit can have a tap again at once after its release.
constexpr auto overdue_age = std::chrono::seconds{2};
// Many times what a caller causes who releases one tap after the other: the bound of what is begun before it is
// overdue.
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

// Of one try: a lease, or why there is none.
struct TapService::Outcome {
    std::optional<Acquired> acquired;
    std::optional<Setback> setback;
    Profile profile = Profile::standard; // of the tap that the setback is of
};

TapService::TapService(AddressPlan plan, Limits limits, TapCreator &creator, HostLinks &host, NameMarks &marks,
                       std::function<std::string()> new_lease_id, std::function<Moment()> clock)
    : plan_{std::move(plan)},
      limits_{limits},
      creator_{creator},
      host_{host},
      marks_{marks},
      new_lease_id_{std::move(new_lease_id)},
      clock_{std::move(clock)}
{
    refresh();
}

void TapService::reconfigure(AddressPlan plan, Limits limits)
{
    plan_ = std::move(plan);
    limits_ = limits;
}

HostState &TapService::refresh()
{
    auto &state = host_.refresh();
    follow(state);
    return state;
}

void TapService::restore_marks()
{
    refresh();
    std::set<std::string> names;
    for (const auto &[id, lease] : table_.leases())
        for (const auto &[position, ifindex] : lease.taps)
            names.insert(table_.tap(ifindex).name);
    marks_.mark_only(names);
}

bool TapService::has_name(const std::string &name) const
{
    return std::any_of(table_.leases().begin(), table_.leases().end(), [&](const auto &lease) {
        return std::any_of(lease.second.taps.begin(), lease.second.taps.end(),
                           [&](const auto &tap) { return table_.tap(tap.second).name == name; });
    });
}

void TapService::follow(HostState &state)
{
    state_ = &state;
    std::vector<EndedTap> left; // their names
    for (const int ifindex : state.take_changed()) {
        std::optional<EndedTap> before;
        if (const auto *tap = table_.find_tap(ifindex))
            before = EndedTap{tap->name, tap->tag, tap->queues};
        table_.update(ifindex, state.link(ifindex), clock_());
        const auto *after = table_.find_tap(ifindex);
        if (after)
            keeper_.saw({ifindex, after->name, after->tag.profile}, state.link(ifindex)->settings);
        else
            keeper_.forget(ifindex);
        if (!before || (after && after->name == before->name))
            continue;
        left.push_back(*before);
        if (after)
            marks_.mark(after->name); // somebody with root renamed it
        else
            note_end(std::move(*before));
    }
    // The next tap may have the name already.
    for (const auto &tap : left)
        if (!table_.index_leased(tap.tag.profile, tap.tag.index) || !has_name(tap.name))
            marks_.unmark(tap.name);
}

// A tap that was never handed over leaves no memory: another user's last end is what counts of its index.
void TapService::note_end(EndedTap tap)
{
    if (tap.tag.lease != attempted_lease_)
        recent_.note_end(tap.tag.profile, tap.tag.index, tap.tag.uid, clock_());
    ended_.push_back(std::move(tap));
}

void TapService::check_own_limit(uid_t uid, unsigned count)
{
    refresh();
    const auto undeleted = undeleted_of(host_.undeleted(), uid);
    const TapCount own{table_.tap_count(uid), overdue_links(undeleted)};
    if (own.held + own.undeleted + count > limits_.max_taps_per_user)
        throw over_own_limit(uid, own, limits_.max_taps_per_user, count);
    if (undeleted.size() >= max_deletions_per_user)
        throw over_deletion_limit(uid, undeleted.size());
}

void TapService::check_common_limit(unsigned count) const
{
    const TapCount all{table_.tap_count(), overdue_links(host_.undeleted())};
    if (all.held + all.undeleted + count > limits_.max_taps)
        throw over_common_limit(all, limits_.max_taps, count);
}

// Empty where vhost is not to be used, or can't be and need not.
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
        // What was heard errs on the side of "taken": the kernel drops some routes without a word. One fresh
        // look decides.
        const auto before = std::exchange(setback, outcome.setback);
        if (lacks_index(*setback) && before == setback)
            break;
        if (lacks_index(*setback))
            follow(host_.refresh_all());
    }
    refuse(*setback, profile, uid, request);
}

TapService::Outcome TapService::try_acquire(const Terms &terms)
{
    const auto &lease = terms.lease;
    Outcome outcome;
    attempted_lease_ = lease;
    try {
        Attempt attempt{plan_, table_, recent_, creator_, host_, marks_, terms};
        for (unsigned made = 0; made < terms.request.count && !outcome.setback; ++made)
            outcome.setback = attempt.add_tap();
        outcome.profile = attempt.next_rule();
        if (!outcome.setback)
            outcome.setback = attempt.verify();
        if (!outcome.setback) {
            refresh();
            const auto *made = table_.find(lease);
            if (!made)
                throw TapError{ErrorCode::host_refused, "somebody deleted the lease's devices as they were finished"};
            Acquired acquired{grant_of(plan_, table_, *state_, lease, *made), {}};
            acquired.descriptors = attempt.hand_over();
            outcome.acquired = std::move(acquired);
        }
    } catch (...) {
        forget_end_of(lease);
        attempted_lease_.clear();
        throw;
    }
    if (outcome.setback)
        forget_end_of(lease);
    attempted_lease_.clear();
    return outcome;
}

// A lease that was never given does not end either: nobody is told of it.
void TapService::forget_end_of(const std::string &lease)
{
    refresh();
    ended_.erase(
        std::remove_if(ended_.begin(), ended_.end(), [&](const EndedTap &tap) { return tap.tag.lease == lease; }),
        ended_.end());
}

void TapService::refuse(Setback setback, Profile profile, uid_t uid, const TapRequest &request) const
{
    if (const auto *reservation = plan_.reservation_of(uid, request.label);
        reservation && setback == Setback::reserved_taken)
        throw reserved_index_taken(plan_, *reservation,
                                   state_->occupants(plan_.pool().subnet(reservation->index), occupants_named));
    if (setback == Setback::intruder)
        throw entered_each_time(max_attempts);
    if (setback == Setback::collision)
        throw collided_each_time(max_attempts);
    throw pool_exhausted(plan_, profile, request.count, table_.tap_count(),
                         state_->occupants(plan_.block(profile), occupants_named));
}

std::vector<LeaseGrant> TapService::leases(std::optional<uid_t> uid)
{
    follow(host_.reread_down_taps());
    return grants_of(plan_, table_, *state_, uid);
}

std::optional<uid_t> TapService::owner_of(const std::string &lease)
{
    follow(host_.reread_down_taps());
    const auto *known = table_.find(lease);
    if (!known)
        return std::nullopt;
    return table_.tag(*known).uid;
}

bool TapService::is_attended_by(const std::string &lease, const std::string &attendant) const
{
    const auto *known = table_.find(lease);
    return known && table_.tag(*known).attendant == attendant;
}

void TapService::release(const std::string &lease)
{
    if (const auto *known = table_.find(lease))
        for (const auto &[position, ifindex] : known->taps)
            condemned_.insert(ifindex);
}

void TapService::attendant_left(const std::string &attendant)
{
    condemned_.merge(table_.attended_by(attendant));
}

void TapService::attendants_are(const std::set<std::string> &present)
{
    condemned_.merge(table_.deserted(present));
}

// Looks at all taps; if that is too soon after the last time, a later turn does, and then there is rest until something
// wakes the daemon.
bool TapService::look_at_settings()
{
    const auto before = clock_();
    if (table_.tap_count() == 0)
        return false;
    if (before < next_look_) {
        look_owed_ = true;
        return false;
    }
    follow(host_.reread_taps());
    const auto after = clock_();
    next_look_ = after + std::min(look_share * (after - before), longest_look_distance);
    look_owed_ = false;
    return true;
}

void TapService::put_back(int ifindex)
{
    follow(host_.reread(ifindex));
    const auto *tap = table_.find_tap(ifindex);
    if (!tap)
        return;
    const KeptTap kept{ifindex, tap->name, tap->tag.profile};
    const auto found = state_->link(ifindex)->settings;
    host_.restore_settings(ifindex);
    follow(host_.state());
    if (table_.find_tap(ifindex))
        keeper_.put_back(kept, found, state_->link(ifindex)->settings, inherited_.erase(ifindex) != 0, clock_());
}

SettingsReport TapService::keep_settings()
{
    const bool looked = look_at_settings();
    const bool is_first = std::exchange(first_look_, false);
    if (is_first)
        for (const auto &[id, lease] : table_.leases())
            for (const auto &[position, ifindex] : lease.taps)
                inherited_.insert(ifindex);
    SettingsReport report;
    for (const int ifindex : keeper_.due(clock_())) {
        try {
            put_back(ifindex);
        } catch (const std::system_error &error) {
            const auto now = clock_();
            keeper_.failed(ifindex, now);
            if (now >= next_problem_report_)
                report.problems.push_back(error.what());
            next_problem_report_ = std::max(next_problem_report_, now + problem_distance);
        }
    }
    report.put_back = keeper_.take_reports(clock_());
    if (is_first || looked)
        report.host_wide = host_wide_watch_.news(host_.host_wide_values());
    return report;
}

std::optional<Moment> TapService::next_deadline() const
{
    auto deadline = table_.next_deadline();
    const auto at = [&](Moment moment) { deadline = deadline ? std::min(*deadline, moment) : moment; };
    if (look_owed_ && table_.tap_count() != 0)
        at(next_look_);
    if (const auto keeping = keeper_.next_deadline())
        at(*keeping);
    const auto &down = state_->down_taps();
    const auto ours = down.lower_bound(first_own_ifindex);
    if (ours == down.end() || *ours > last_own_ifindex)
        return deadline;
    const auto next_look = clock_() + down_tap_look_distance;
    return deadline ? std::min(*deadline, next_look) : next_look;
}

std::vector<EndedTap> TapService::sweep()
{
    follow(host_.reread_down_taps());
    // What went may have been a part of a lease whose rest must go too, and no event will tell that again.
    for (int round = 0; round < max_sweep_rounds && remove_doomed(); ++round) {
    }
    condemned_.clear();
    to_look_at_.clear();
    return std::exchange(ended_, {});
}

bool TapService::remove_doomed()
{
    to_look_at_.merge(table_.take_suspects(clock_()));
    // Asked for anew before they end: a carrier that came back is told with up to a second's delay.
    for (const int ifindex : table_.doomed(to_look_at_, clock_()))
        follow(host_.reread(ifindex));
    const auto doomed = table_.doomed(to_look_at_, clock_());
    condemned_.insert(doomed.begin(), doomed.end());
    std::map<uid_t, std::vector<int>> by_owner;
    for (const int ifindex : condemned_)
        if (const auto *tap = table_.find_tap(ifindex))
            by_owner[tap->tag.uid].push_back(ifindex);
    if (by_owner.empty())
        return false;
    remove_each(by_owner);
    refresh();
    return true;
}

// One deletion for each owner: no holder delays the end of another user's taps.
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
    return table_.tap_count() != 0 || !host_.undeleted().empty();
}

} // namespace qemutap
