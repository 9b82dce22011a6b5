// SPDX-License-Identifier: MIT
//
// Which lease a person means by a lease's id, a label, or a tap's name.

#pragma once

#include "common/grant.hpp"

#include <string>
#include <vector>

namespace qemutap {

// Throws TapError no_such_lease, or invalid_argument where the name fits several leases (they are named).
const LeaseGrant &resolve(const std::vector<LeaseGrant> &leases, const std::string &name);

} // namespace qemutap
