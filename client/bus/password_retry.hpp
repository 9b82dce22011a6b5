// SPDX-License-Identifier: MIT
//
// A call that polkit may want a password for.

#pragma once

#include "client/bus/manager_proxy.hpp"
#include "client/bus/password_agent.hpp"
#include "common/error.hpp"

namespace qemutap {

// Makes the call without a password first: most users need none, and starting an agent takes time. Where polkit wants
// one, asks for it and makes the call again.
template <typename Call>
auto with_password_retry(ManagerProxy &manager, bool ask_password, Call call)
{
    try {
        return call();
    } catch (const TapError &error) {
        if (error.code() != ErrorCode::not_authorized || !ask_password || !somebody_to_ask())
            throw;
    }
    const PasswordAgent agent;
    manager.let_polkit_ask();
    return call();
}

} // namespace qemutap
