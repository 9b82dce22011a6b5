// SPDX-License-Identifier: MIT
//
// Builds the lease descriptions that callers receive. The lease table says whose taps they are. The host state says
// which addresses they have.

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

// Describes one lease. `lease` must be in the table. The addresses are the ones that a tap really has: the planned ones
// if it has them, else the ones that it was given under other settings. They are empty if a program with root rights
// removed them.
LeaseGrant grant_of(const AddressPlan &plan, const LeaseTable &table, const HostState &state, const std::string &id,
                    const Lease &lease);

// Describes the leases of one owner, or of all owners if `uid` is nullopt, in the order of their first taps' indexes.
std::vector<LeaseGrant> grants_of(const AddressPlan &plan, const LeaseTable &table, const HostState &state,
                                  std::optional<uid_t> uid);

} // namespace qemutap
