// SPDX-License-Identifier: MIT
//
// Requests on their way through something slow that takes only so many at once, polkit or the hand-over of
// descriptors: everyone waits behind one's own, one user alone does not fill the way, and what can wait is bounded
// too (I8).

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
    // On the way and waiting; beyond it a request is refused.
    unsigned present_per_user;
    unsigned present;
    // On the way.
    unsigned passing_per_user;
    unsigned passing;
    const char *awaited = "their authorisation";
};

// The bus lets one connection, ours, have 128 calls without an answer (dbus-daemon's
// max_replies_per_connection) and refuses the next, whosever it is. Questions that a program answers and those
// that wait for somebody to type a password share this number, but not the way. polkit answers one question after
// the other: several of one user's there at once would gain that user nothing and keep all others waiting. A user
// sees one prompt at a time: of several nobody could tell which password is for what.
inline constexpr TurnstileLimits question_limits{128, 1024, 1, 64};
inline constexpr TurnstileLimits prompt_limits{128, 1024, 1, 48};
// The bus stops reading from a connection, ours, of whom 64 descriptors are undelivered (dbus-daemon's
// max_incoming_unix_fds). An answer that hands a lease's descriptors over carries one, and is on the way until its
// caller has taken them.
inline constexpr TurnstileLimits hand_over_limits{128, 1024, 4, 48, "the descriptors of a lease"};

class Turnstile {
public:
    // Whoever has it is on the way; letting it go is having passed, and lets the next one start.
    using Pass = std::shared_ptr<void>;
    using Start = std::function<void(Pass)>;
    // For how long a request may wait, and what becomes of it then; `refuse` must not throw.
    struct Patience {
        Moment until;
        std::function<void()> refuse;
    };

    explicit Turnstile(TurnstileLimits limits)
        : state_{std::make_shared<State>(State{limits, {}, {}})}
    {}
    Turnstile(const Turnstile &) = delete;
    Turnstile &operator=(const Turnstile &) = delete;
    // Nobody starts after its end: those who still wait are dropped.
    ~Turnstile();

    // Whether nobody is on the way or waits.
    bool empty() const { return state_->users.empty(); }

    // Calls `start`, now or when others have passed; it must not throw. Those of one user start in their
    // order. Throws TapError limit_exceeded. Without `patience` a request waits as long as it takes.
    void enter(uid_t uid, Start start, std::optional<Patience> patience = std::nullopt);

    // Refuses each request that has waited for long enough.
    void refuse_overdue(Moment now);
    // When the next one has; nullopt: none that waits has an end of its patience.
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
