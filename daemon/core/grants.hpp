// SPDX-License-Identifier: MIT
//
// What callers are told of the leases there are: the table knows whose taps they are, the host what they have.

#pragma once

#include "contract/grant.hpp"
#include "daemon/core/host_state.hpp"
#include "daemon/core/lease_table.hpp"
#include "plan/address_plan.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// The addresses are those that a tap really has: the plan's if it has it, else what it was given under other settings;
// none of a tap that somebody with root took them from. `lease` is of the table.
LeaseGrant grant_of(const AddressPlan &plan, const LeaseTable &table, const HostState &state, const std::string &id,
                    const Lease &lease);

// Of one owner, or of all; by their first taps' indexes.
std::vector<LeaseGrant> grants_of(const AddressPlan &plan, const LeaseTable &table, const HostState &state,
                                  std::optional<uid_t> uid);

} // namespace qemutap
