// SPDX-License-Identifier: MIT
//
// What a caller is told who gets no lease, in words that say what stands in the way.

#pragma once

#include "common/error.hpp"
#include "common/grant.hpp"
#include "daemon/core/address_plan.hpp"

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

namespace qemutap {

TapError over_own_limit(uid_t uid, std::size_t held, unsigned limit, unsigned asked);
TapError over_common_limit(std::size_t held, unsigned limit, unsigned asked);

// Others were in the way each time, at the devices or at their subnets.
TapError entered_each_time(int attempts);
TapError collided_each_time(int attempts);

// No index is left. `first` is the profile of the tap that there is no room for, `occupants` are some of what else is
// there.
TapError pool_exhausted(const AddressPlan &plan, Profile first, unsigned asked, std::size_t leased,
                        const std::vector<std::string> &occupants);

// The index that is reserved for the caller's label is not free. `occupants` are of its subnet.
TapError reserved_index_taken(const AddressPlan &plan, const Reservation &reservation,
                              const std::vector<std::string> &occupants);

// Where its occupants are to be looked for.
Ipv4Prefix exhausted_pool(const AddressPlan &plan, Profile first);

} // namespace qemutap
