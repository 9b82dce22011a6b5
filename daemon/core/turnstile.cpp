// SPDX-License-Identifier: MIT
//
// Counts the requests of each user, and chooses the next request to admit.

#include "daemon/core/turnstile.hpp"

#include "common/error.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace qemutap {

Turnstile::~Turnstile()
{
    // Empty the queue first: destroying a waiting request may release a pass, and then no other request may start.
    const auto dropped = std::exchange(state_->waiting, {});
}

void Turnstile::enter(uid_t uid, Start start, std::optional<Patience> patience)
{
    auto &state = *state_;
    const auto known = state.users.find(uid);
    const unsigned own = known == state.users.end() ? 0 : known->second.present;
    if (own >= state.limits.present_per_user)
        throw TapError{ErrorCode::limit_exceeded, std::to_string(own) + " requests of uid " + std::to_string(uid) +
                                                      " wait for " + state.limits.awaited +
                                                      " already; try again when they are answered"};
    if (state.passing + state.waiting.size() >= state.limits.present)
        throw TapError{ErrorCode::limit_exceeded, std::string{"as many requests of all users as may wait for "} +
                                                      state.limits.awaited + " do so already; try again later"};
    ++state.users[uid].present;
    if (may_pass(state, uid))
        let_in(state_, uid, start);
    else
        state.waiting.push_back({uid, std::move(start), std::move(patience)});
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

void Turnstile::forget(State &state, uid_t uid)
{
    if (--state.users.at(uid).present == 0)
        state.users.erase(uid);
}

void Turnstile::refuse_overdue(Moment now)
{
    const auto state = state_;
    std::vector<Waiting> overdue;
    const auto end = std::remove_if(state->waiting.begin(), state->waiting.end(), [&](Waiting &waiting) {
        if (!waiting.patience || waiting.patience->until > now)
            return false;
        overdue.push_back(std::move(waiting));
        return true;
    });
    state->waiting.erase(end, state->waiting.end());
    for (const auto &waiting : overdue)
        forget(*state, waiting.uid);
    for (const auto &waiting : overdue)
        waiting.patience->refuse();
}

std::optional<Moment> Turnstile::next_refusal() const
{
    std::optional<Moment> next;
    for (const auto &waiting : state_->waiting)
        if (waiting.patience && (!next || waiting.patience->until < *next))
            next = waiting.patience->until;
    return next;
}

void Turnstile::leave(const std::shared_ptr<State> &state, uid_t uid)
{
    --state->passing;
    --state->users.at(uid).passing;
    forget(*state, uid);
    // A request that is over as soon as it starts calls leave() within this loop. Then the outer loop admits the next
    // request, and the nested call returns. So the depth of the stack does not grow with the length of the queue.
    if (std::exchange(state->letting_in_next, true))
        return;
    let_in_next(state);
    state->letting_in_next = false;
}

} // namespace qemutap
