// SPDX-License-Identifier: MIT
//
// Makes a call for which polkit may require a password.

#pragma once

#include "client/bus/manager_proxy.hpp"
#include "client/bus/password_agent.hpp"
#include "common/error.hpp"

namespace qemutap {

// Makes the call without a password first: most users need none, and the start of an agent takes time. If polkit
// requires a password, starts an agent and makes the call again.
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
