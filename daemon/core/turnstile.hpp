// SPDX-License-Identifier: MIT
//
// Queues requests for a slow operation that takes only a few at once: polkit, or the hand-over of descriptors. A user's
// requests pass in their order. One user alone can't take all places, and the number of waiting requests is limited too
// (I8). A request is present from enter() until it is over, and it passes from its start until then.

#pragma once

#include "daemon/core/lease_table.hpp"

#include <sys/types.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

namespace qemutap {

struct TurnstileLimits {
    // Requests that pass or wait. A request beyond this limit is refused.
    unsigned present_per_user;
    unsigned present;
    // Requests that pass.
    unsigned passing_per_user;
    unsigned passing;
    const char *awaited = "their authorisation";
};

// dbus-daemon allows a connection 128 calls without an answer (max_replies_per_connection). It refuses the service's
// next call, whichever user caused that call. Questions that a program answers and questions that wait for a typed
// password share this number, but each kind has its own turnstile. polkit answers one question after the other: several
// questions of one user at once would gain that user nothing and delay all other users. A user sees one prompt at a
// time, because several prompts would not show which password is for which request.
inline constexpr TurnstileLimits question_limits{128, 1024, 1, 64};
inline constexpr TurnstileLimits prompt_limits{128, 1024, 1, 48};
// dbus-daemon stops reading from a connection while 64 descriptors of that connection are undelivered
// (max_incoming_unix_fds). An answer that hands over a lease's descriptors carries one descriptor. It passes until its
// caller has received the lease's descriptors.
inline constexpr TurnstileLimits hand_over_limits{128, 1024, 4, 48, "the descriptors of a lease"};

class Turnstile {
public:
    // The holder of a pass is a request that passes. Releasing the pass ends the request and lets the next one start.
    using Pass = std::shared_ptr<void>;
    using Start = std::function<void(Pass)>;
    // How long a request may wait, and the function to call when that time is over. `refuse` must not throw.
    struct Patience {
        Moment until;
        std::function<void()> refuse;
    };

    explicit Turnstile(TurnstileLimits limits)
        : state_{std::make_shared<State>(State{limits, {}, {}})}
    {}
    Turnstile(const Turnstile &) = delete;
    Turnstile &operator=(const Turnstile &) = delete;
    // Drops the requests that still wait: they never start.
    ~Turnstile();

    // True if no request passes or waits.
    bool empty() const { return state_->users.empty(); }

    // Calls `start`, now or after other requests have passed. `start` must not throw. Requests of one user start in
    // their order. Without `patience` a request waits without limit. Throws TapError limit_exceeded.
    void enter(uid_t uid, Start start, std::optional<Patience> patience = std::nullopt);

    // Refuses each waiting request whose patience is over.
    void refuse_overdue(Moment now);
    // When the patience of the next waiting request is over; nullopt: no waiting request has a limited patience.
    std::optional<Moment> next_refusal() const;

private:
    struct Waiting {
        uid_t uid;
        Start start;
        std::optional<Patience> patience;
    };
    struct Counts {
        unsigned present = 0;
        unsigned passing = 0;
    };
    struct State {
        TurnstileLimits limits;
        std::unordered_map<uid_t, Counts> users;
        std::deque<Waiting> waiting;
        unsigned passing = 0;
        bool letting_in_next = false;
    };
    static bool may_pass(const State &state, uid_t uid);
    static void let_in(const std::shared_ptr<State> &state, uid_t uid, const Start &start);
    static void let_in_next(const std::shared_ptr<State> &state);
    static void leave(const std::shared_ptr<State> &state, uid_t uid);
    static void forget(State &state, uid_t uid);

    std::shared_ptr<State> state_; // passes may outlive the turnstile
};

} // namespace qemutap
