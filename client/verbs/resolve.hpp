// SPDX-License-Identifier: MIT
//
// Which lease a person means by a lease's id, a label, or a tap's name.

#pragma once

#include "contract/grant.hpp"

#include <sys/types.h>

#include <string>
#include <vector>

namespace qemutap {

// Throws TapError no_such_lease, or invalid_argument where the name fits several leases (they are named).
const LeaseGrant &resolve(const std::vector<LeaseGrant> &leases, const std::string &name);

// For root, who sees everybody's: an id is that lease; else a lease of `own` that has this label or tap; else the tap
// of another user, as a device's name is one device's; else another user's label. Throws as resolve() does, and names
// the owners too.
const LeaseGrant &resolve_for_root(const std::vector<LeaseGrant> &leases, uid_t own, const std::string &name);

} // namespace qemutap
