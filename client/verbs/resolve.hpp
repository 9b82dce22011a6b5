// SPDX-License-Identifier: MIT
//
// Finds the lease that a person means by a lease's id, a label or a tap's name.

#pragma once

#include "contract/grant.hpp"

#include <sys/types.h>

#include <string>
#include <vector>

namespace qemutap {

// Returns the lease with this id, else the one lease that has this tap or label. Throws TapError no_such_lease if there
// is none, and invalid_argument with their ids if there are several.
const LeaseGrant &resolve(const std::vector<LeaseGrant> &leases, const std::string &name);

// Finds the lease for root, which sees the leases of all users. Takes the first match of: the lease with this id; a
// lease of the user `own` with this label or tap; another user's lease with this tap, because a device's name is
// unique; another user's lease with this label. Throws TapError no_such_lease if there is none, and invalid_argument
// with their ids and owners if there are several.
const LeaseGrant &resolve_for_root(const std::vector<LeaseGrant> &leases, uid_t own, const std::string &name);

} // namespace qemutap
