// SPDX-License-Identifier: MIT
//
// The three methods, each: read, ask, do, answer.

#include "daemon/bus/manager.hpp"

#include "common/error.hpp"
#include "common/ipv4.hpp"
#include "common/quote.hpp"
#include "contract/bus_names.hpp"
#include "contract/descriptors.hpp"
#include "contract/grant.hpp"
#include "contract/hold.hpp"
#include "contract/request.hpp"
#include "daemon/log.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace qemutap {

namespace {

using Clock = std::chrono::steady_clock;

std::string not_authorized_text(uid_t uid, const std::string &action, Verdict verdict)
{
    std::string text = "polkit does not grant " + action + " to uid " + std::to_string(uid);
    if (verdict == Verdict::needs_password)
        text += " without an administrator's password";
    if (action == action_acquire)
        text +=
            std::string{"; members of the group "} + acquire_group + " and users with an active local session have it";
    else if (action == action_vhost)
        text += std::string{"; members of the group "} + vhost_group + " have it, and vhost 'auto' or 'no' needs none";
    else
        text += "; root needs none";
    return text;
}

void require_granted(uid_t uid, const std::string &action, const AuthorityAnswer &answer)
{
    if (answer.verdict == Verdict::unavailable)
        throw TapError{ErrorCode::authority_unavailable,
                       "can't ask polkit for " + action + ": " + answer.reason + "; is polkit installed and running?"};
    if (answer.verdict != Verdict::granted)
        throw TapError{ErrorCode::not_authorized, not_authorized_text(uid, action, answer.verdict)};
}

std::string unread_text(uid_t uid, const std::vector<std::string> &own, std::uint64_t seconds)
{
    std::string leases;
    for (const auto &lease : own)
        leases += (leases.empty() ? " (" : ", ") + lease;
    leases += leases.empty() ? "" : ")";
    const std::string whose =
        own.size() >= hand_over_limits.passing_per_user
            ? std::to_string(own.size()) + " leases of uid " + std::to_string(uid) + leases
            : "as many leases of all users as may be on their way, " + std::to_string(hand_over_limits.passing) + ",";
    return "the descriptors of " + whose + " have not been received for " + std::to_string(seconds) +
           " s; receive them from the socket in each answer of Acquire, or close it, and try again";
}

std::string in_words(const LeaseGrant &grant)
{
    std::string taps;
    for (const auto &tap : grant.taps)
        taps += (taps.empty() ? "" : ",") + tap.name + "=" + Ipv4Prefix{tap.gateway, tap.prefix_length}.text();
    return "lease " + grant.lease + " uid " + std::to_string(grant.uid) + " hold " + std::string{text_of(grant.hold)} +
           (grant.attended ? " attended" : "") + " label " + quote(grant.label) + " taps " + taps;
}

} // namespace

Manager::Manager(sdbus::IConnection &connection, TapService &service, ManagerFacts facts)
    : AdaptorInterfaces{connection, BusObjectPath{object_path}},
      call_check_{connection},
      service_{service},
      facts_{std::move(facts)},
      authority_{connection},
      deliveries_{connection},
      attendance_{connection,
                  callers_.bus_id(),
                  {[this](const std::string &attendant) { service_.attendant_left(attendant); },
                   [this](const std::set<std::string> &present) { service_.attendants_are(present); }}}
{
    registerAdaptor();
}

Manager::~Manager()
{
    unregisterAdaptor();
}

void Manager::authorize(const Caller &caller, const char *action, bool interactive, Verdicts then, Occasion occasion)
{
    if (caller.uid == 0) {
        then({Verdict::granted, {}});
        return;
    }
    // A prompt has its time from when it is on the screen; a question from when it came in, or the last of a queue
    // behind a polkit that hangs would wait the limit once for each before it.
    const auto patience = [interactive, began = occasion.began]() -> Clock::duration {
        if (interactive)
            return std::chrono::seconds{interactive_authorization_seconds};
        return std::chrono::seconds{authorization_seconds} - (Clock::now() - began);
    };
    auto &lane = interactive ? prompts_ : questions_;
    lane.enter(caller.uid, [this, caller, action, interactive, patience, details = std::move(occasion.details),
                            then = std::move(then)](Turnstile::Pass pass) {
        authority_.ask(caller.sender, action, details, interactive,
                       std::chrono::duration_cast<std::chrono::microseconds>(patience()),
                       [pass = std::move(pass), then](const auto &answer) { then(answer); });
    });
}

// Without descriptors to give, and where none are asked for, the answer is that none are granted.
void Manager::authorize_vhost(const Caller &caller, const TapRequest &request, Occasion occasion, Verdicts then)
{
    const bool required = request.vhost == VhostChoice::required;
    const auto problem = wants_vhost(request) ? facts_.vhost_problem() : "not asked for";
    if (required && !problem.empty())
        throw TapError{ErrorCode::vhost_unavailable, problem};
    if (!problem.empty()) {
        then({Verdict::refused, {}});
        return;
    }
    if (request.interactive)
        occasion.began = Clock::now(); // the user may have typed a password meanwhile
    authorize(caller, action_vhost, required && request.interactive, std::move(then), std::move(occasion));
}

void Manager::Acquire(sdbus::Result<std::string, std::vector<Dictionary>, std::vector<sdbus::UnixFd>> &&result,
                      std::uint32_t count, Dictionary options)
{
    const auto answer = std::make_shared<AcquireAnswer>(std::move(result));
    answer->unless_it_throws([&] {
        const auto request = parse_acquire(count, options);
        const auto caller = current_caller();
        service_.check_own_limit(caller.uid, request.count);
        const auto give = [this, answer, request, caller](const AuthorityAnswer &vhost) {
            answer->unless_it_throws([&, granted = request]() mutable {
                if (request.vhost == VhostChoice::required)
                    require_granted(caller.uid, action_vhost, vhost);
                else if (vhost.verdict != Verdict::granted)
                    granted.vhost = VhostChoice::no;
                if (!rule_of(request.hold).gives_descriptors)
                    return provide(*answer, granted, caller, nullptr);
                const auto enter = [this, answer, granted, caller](Turnstile::Pass pass) {
                    answer->unless_it_throws([&] { provide(*answer, granted, caller, std::move(pass)); });
                };
                entrances_.enter(caller.uid, enter, patience_of(answer, caller));
            });
        };
        const Occasion occasion{request_details(request)};
        const auto ask_vhost = [this, answer, request, caller, occasion, give](const AuthorityAnswer &authority) {
            answer->unless_it_throws([&] {
                require_granted(caller.uid, action_acquire, authority);
                authorize_vhost(caller, request, occasion, give);
            });
        };
        authorize(caller, action_acquire, request.interactive, ask_vhost, occasion);
    });
}

void Manager::provide(AcquireAnswer &answer, const TapRequest &request, const Caller &caller, Turnstile::Pass pass)
{
    if (caller.uid != 0)
        callers_.require_present(caller);
    auto acquired = service_.acquire(caller.uid, request, attendance_.attendant(caller.sender));
    hand_over(answer, std::move(acquired), caller, std::move(pass));
}

// Nothing has been made for a request that is refused so.
Turnstile::Patience Manager::patience_of(const std::shared_ptr<AcquireAnswer> &answer, const Caller &caller)
{
    const auto refuse = [this, answer, uid = caller.uid] {
        answer->fail(std::make_exception_ptr(
            TapError{ErrorCode::limit_exceeded, unread_text(uid, hand_overs_.leases(uid), hand_over_seconds)}));
    };
    return {facts_.clock() + std::chrono::seconds{hand_over_seconds}, refuse};
}

std::optional<Moment> Manager::refuse_overdue()
{
    entrances_.refuse_overdue(facts_.clock());
    return entrances_.next_refusal();
}

void Manager::hand_over(AcquireAnswer &answer, Acquired acquired, const Caller &caller, Turnstile::Pass pass)
{
    const auto &grant = acquired.grant;
    try {
        std::vector<sdbus::UnixFd> descriptors;
        if (rule_of(grant.hold).gives_descriptors)
            descriptors.emplace_back(
                hand_overs_.begin(std::move(acquired.descriptors), grant.lease, grant.uid, std::move(pass)).release(),
                sdbus::adopt_fd);
        answer.give(grant.lease, taps_on_wire(grant.taps), descriptors);
    } catch (...) {
        service_.release(grant.lease);
        throw;
    }
    // Descriptors in an answer that nobody gets are closed by the bus; a name nobody would ever release.
    if (!rule_of(grant.hold).gives_descriptors)
        deliveries_.watch(caller.sender, [this, lease = grant.lease] { service_.release(lease); });
    log_info("given: " + in_words(grant));
}

void Manager::Release(sdbus::Result<> &&result, std::string lease)
{
    const auto answer = std::make_shared<ReleaseAnswer>(std::move(result));
    answer->unless_it_throws([&] {
        if (!is_lease_id(lease))
            throw no_such_lease(lease);
        const auto caller = current_caller();
        const bool own = service_.owner_of(lease) == caller.uid;
        // It need only leave, and polkit is not asked about that either.
        if (own && service_.is_attended_by(lease, attendance_.attendant(caller.sender))) {
            service_.release(lease);
            releases_.push_back(answer);
            return;
        }
        const auto end = [this, answer, lease, caller, own](const AuthorityAnswer &authority) {
            answer->unless_it_throws([&] {
                if (!own && authority.verdict != Verdict::granted && authority.verdict != Verdict::unavailable)
                    throw no_such_lease(lease);
                require_granted(caller.uid, own ? action_acquire : action_manage, authority);
                const auto owner = service_.owner_of(lease);
                if (!owner || (own && *owner != caller.uid))
                    throw no_such_lease(lease);
                service_.release(lease);
                releases_.push_back(answer);
            });
        };
        authorize(caller, own ? action_acquire : action_manage, false, end);
    });
}

void Manager::answer_releases(const std::exception_ptr &problem)
{
    for (const auto &answer : std::exchange(releases_, {})) {
        if (problem)
            answer->fail(problem);
        else
            answer->unless_it_throws([&] { answer->give(); });
    }
}

void Manager::List(sdbus::Result<std::vector<Dictionary>> &&result, Dictionary options)
{
    const auto answer = std::make_shared<Answer<std::vector<Dictionary>>>(std::move(result));
    answer->unless_it_throws([&] {
        const auto request = parse_list(options);
        const auto caller = current_caller();
        const auto tell = [this, answer, request](std::optional<uid_t> uid) {
            const auto leases = service_.leases(uid);
            std::vector<Dictionary> dictionaries;
            if (request.columns)
                dictionaries.push_back(leases_in_columns(leases));
            else
                std::transform(leases.begin(), leases.end(), std::back_inserter(dictionaries), lease_on_wire);
            answer->give(dictionaries);
        };
        if (!request.all) {
            tell(caller.uid);
            return;
        }
        authorize(caller, action_manage, request.interactive, [answer, caller, tell](const AuthorityAnswer &authority) {
            answer->unless_it_throws([&] {
                require_granted(caller.uid, action_manage, authority);
                tell(std::nullopt);
            });
        });
    });
}

std::vector<std::string> Manager::Features()
{
    std::vector<std::string> features{"multi-queue", "attended", "runqemu", "hand-over", "vnet"};
    if (facts_.vhost_problem().empty())
        features.emplace_back("vhost");
    return features;
}

} // namespace qemutap
