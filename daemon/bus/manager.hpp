// SPDX-License-Identifier: MIT
//
// org.qemutap1.Manager on the bus: who calls, may they, and then one call into the core. Every method that
// changes something asks polkit before any state is touched, uid 0 apart (I7).

#pragma once

#include "contract/descriptors.hpp"
#include "contract/request.hpp"
#include "daemon/bus/answer.hpp"
#include "daemon/bus/attendance.hpp"
#include "daemon/bus/authority.hpp"
#include "daemon/bus/call_check.hpp"
#include "daemon/bus/callers.hpp"
#include "daemon/bus/deliveries.hpp"
#include "daemon/bus/hand_overs.hpp"
#include "daemon/bus/wire.hpp"
#include "daemon/core/tap_service.hpp"
#include "daemon/core/turnstile.hpp"

#include "org.qemutap1-adaptor.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// What the properties show beside the service's plan.
struct ManagerFacts {
    std::string version;
    std::function<std::string()> vhost_problem; // why there is none, or nothing; opens nothing
    std::function<Moment()> clock;              // CLOCK_BOOTTIME
};

// What polkit is asked for.
struct Occasion {
    AuthorityDetails details;
    std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
};

class Manager final : public sdbus::AdaptorInterfaces<org::qemutap1::Manager_adaptor> {
public:
    // All must outlive this.
    Manager(sdbus::IConnection &connection, TapService &service, ManagerFacts facts);
    ~Manager();

    // Answers the Release calls of this turn, after the sweep that they waited for: `problem` is what it
    // threw, or nullptr.
    void answer_releases(const std::exception_ptr &problem);

    // Call it once a turn: from then on who attends leases is watched, as long as there are such.
    void watch_attendants() { attendance_.watch(service_.has_attended()); }

    // Readable when settle_hand_overs() has something to do. Then callers have taken the descriptors of their leases,
    // and others, who waited for that, get theirs.
    int hand_overs_fd() const { return hand_overs_.fd(); }
    void settle_hand_overs() { hand_overs_.settle(); }

    // Refuses those who have waited too long for others to take theirs; when it is to be called next.
    std::optional<Moment> refuse_overdue();

    // Whether a caller waits for an answer, or it is open whether one got it; one who has a password to type can take
    // minutes, the others some seconds.
    bool owes_answers() const
    {
        return !releases_.empty() || !questions_.empty() || deliveries_.is_waiting() || entrances_.next_refusal();
    }
    bool is_prompting() const { return !prompts_.empty(); }

private:
    using AcquireAnswer = Answer<std::string, std::vector<Dictionary>, std::vector<sdbus::UnixFd>>;
    using ReleaseAnswer = Answer<>;
    using Verdicts = std::function<void(const AuthorityAnswer &)>;

    void Acquire(sdbus::Result<std::string, std::vector<Dictionary>, std::vector<sdbus::UnixFd>> &&result,
                 std::uint32_t count, Dictionary options) override;
    void Release(sdbus::Result<> &&result, std::string lease) override;
    void List(sdbus::Result<std::vector<Dictionary>> &&result, Dictionary options) override;
    std::string Version() override { return facts_.version; }
    std::string Pool() override { return service_.plan().settings().pool.text(); }
    std::uint32_t PrefixLength() override { return service_.plan().settings().prefix_length; }
    std::vector<std::string> Features() override;

    void provide(AcquireAnswer &answer, const TapRequest &request, const Caller &caller, Turnstile::Pass pass);
    void hand_over(AcquireAnswer &answer, Acquired acquired, const Caller &caller, Turnstile::Pass pass);
    Turnstile::Patience patience_of(const std::shared_ptr<AcquireAnswer> &answer, const Caller &caller);
    Caller current_caller() { return callers_.current(getObject()); }
    void authorize(const Caller &caller, const char *action, bool interactive, Verdicts then, Occasion occasion = {});
    void authorize_vhost(const Caller &caller, const TapRequest &request, Occasion occasion, Verdicts then);

    CallCheck call_check_;
    TapService &service_;
    ManagerFacts facts_;
    Authority authority_;
    Callers callers_;
    Deliveries deliveries_;
    Attendance attendance_;
    HandOvers hand_overs_;
    // After what those who pass need.
    Turnstile questions_{question_limits};
    Turnstile prompts_{prompt_limits};
    Turnstile entrances_{hand_over_limits}; // of hand_overs_
    std::vector<std::shared_ptr<ReleaseAnswer>> releases_;
};

} // namespace qemutap
