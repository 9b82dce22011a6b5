// SPDX-License-Identifier: MIT
//
// The errors for a caller that gets no lease. Each text names the reason.

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

// The taps that count against a limit.
struct TapCount {
    std::size_t held = 0;
    std::size_t undeleted = 0; // removed from the host, but kept in the kernel by a process that uses them
};

TapError over_own_limit(uid_t uid, const TapCount &taps, unsigned limit, unsigned asked);
TapError over_common_limit(const TapCount &taps, unsigned limit, unsigned asked);
// `under_way` deletions of the user's taps have begun and not finished.
TapError over_deletion_limit(uid_t uid, std::size_t under_way);

// The errors after the last attempt: entered_each_time() if another process attached to each new device,
// collided_each_time() if other programs took each subnet.
TapError entered_each_time(int attempts);
TapError collided_each_time(int attempts);

// No index is free. `rule` is the address rule of the tap that needs an index. `occupants` describes some of the
// addresses and routes in the rule's block.
TapError pool_exhausted(const AddressPlan &plan, Profile rule, unsigned asked, std::size_t leased,
                        const std::vector<std::string> &occupants);

// The index that is reserved for the caller's label is not free. `occupants` describes the addresses and routes in its
// subnet.
TapError reserved_index_taken(const AddressPlan &plan, const Reservation &reservation,
                              const std::vector<std::string> &occupants);

} // namespace qemutap
