// SPDX-License-Identifier: MIT
//
// Runs a command with a lease that is held by name and ends with the command.

#pragma once

#include "client/bus/manager_proxy.hpp"
#include "contract/grant.hpp"

#include <string>
#include <vector>

namespace qemutap {

// Runs the command to its end, then releases the lease. Returns the command's wait status as waitpid(2) reports it.
int run_attended(ManagerProxy &manager, const LeaseGrant &lease, const std::vector<std::string> &words);

} // namespace qemutap
