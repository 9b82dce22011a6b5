// SPDX-License-Identifier: MIT
//
// Counting who is there, and choosing who is next.

#include "daemon/core/turnstile.hpp"

#include "common/error.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace qemutap {

Turnstile::~Turnstile()
{
    // Taken out first: what they hold may let a pass go as it is destroyed, and then nobody must be next.
    const auto dropped = std::exchange(state_->waiting, {});
}

void Turnstile::enter(uid_t uid, Start start)
{
    auto &state = *state_;
    const auto known = state.users.find(uid);
    const unsigned own = known == state.users.end() ? 0 : known->second.present;
    if (own >= state.limits.present_per_user)
        throw TapError{ErrorCode::limit_exceeded, std::to_string(own) + " requests of uid " + std::to_string(uid) +
                                                      " wait for their authorisation already; try again when they "
                                                      "are answered"};
    if (state.passing + state.waiting.size() >= state.limits.present)
        throw TapError{ErrorCode::limit_exceeded, "as many requests of all users as may wait for their authorisation "
                                                  "do so already; try again later"};
    ++state.users[uid].present;
    if (may_pass(state, uid))
        let_in(state_, uid, start);
    else
        state.waiting.push_back({uid, std::move(start)});
}

bool Turnstile::may_pass(const State &state, uid_t uid)
{
    return state.passing < state.limits.passing && state.users.at(uid).passing < state.limits.passing_per_user;
}

void Turnstile::let_in(const std::shared_ptr<State> &state, uid_t uid, const Start &start)
{
    ++state->passing;
    ++state->users.at(uid).passing;
    start(Pass{nullptr, [state, uid](void *) { leave(state, uid); }});
}

void Turnstile::let_in_next(const std::shared_ptr<State> &state)
{
    for (;;) {
        const auto next = std::find_if(state->waiting.begin(), state->waiting.end(),
                                       [&](const Waiting &waiting) { return may_pass(*state, waiting.uid); });
        if (next == state->waiting.end())
            return;
        const auto admitted = std::move(*next);
        state->waiting.erase(next);
        let_in(state, admitted.uid, admitted.start);
    }
}

void Turnstile::leave(const std::shared_ptr<State> &state, uid_t uid)
{
    --state->passing;
    auto &own = state->users.at(uid);
    --own.passing;
    if (--own.present == 0)
        state->users.erase(uid);
    // One who is over as soon as let in leaves within this loop, which then goes on: not on a stack as deep as the
    // queue is long.
    if (std::exchange(state->letting_in_next, true))
        return;
    let_in_next(state);
    state->letting_in_next = false;
}

} // namespace qemutap
