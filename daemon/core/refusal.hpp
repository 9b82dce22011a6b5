// SPDX-License-Identifier: MIT
//
// What a caller is told who gets no lease, in words that say what stands in the way.

#pragma once

#include "common/error.hpp"
#include "common/ipv4.hpp"
#include "contract/profile.hpp"
#include "plan/address_plan.hpp"

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

namespace qemutap {

// What counts against a limit.
struct TapCount {
    std::size_t held = 0;
    std::size_t undeleted = 0; // gone from the host, but kept in the kernel by a process that uses them
};

TapError over_own_limit(uid_t uid, const TapCount &taps, unsigned limit, unsigned asked);
TapError over_common_limit(const TapCount &taps, unsigned limit, unsigned asked);
// So many deletions of the user's taps have begun and not ended.
TapError over_deletion_limit(uid_t uid, std::size_t under_way);

// Others were in the way each time, at the devices or at their subnets.
TapError entered_each_time(int attempts);
TapError collided_each_time(int attempts);

// No index is left. `rule` is the address rule of the tap that there is no room for, `occupants` are some of what else
// is there.
TapError pool_exhausted(const AddressPlan &plan, Profile rule, unsigned asked, std::size_t leased,
                        const std::vector<std::string> &occupants);

// The index that is reserved for the caller's label is not free. `occupants` are of its subnet.
TapError reserved_index_taken(const AddressPlan &plan, const Reservation &reservation,
                              const std::vector<std::string> &occupants);

} // namespace qemutap
