// SPDX-License-Identifier: MIT
//
// Chooses the numbers under which a command inherits its descriptors.

#pragma once

#include "common/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace qemutap {

// Returns the lowest number for a command's `count` descriptors. It is far above the numbers that shells and scripts
// choose (flock(1) has 9 and 200), and low enough that select(2) can still name the last descriptor. If the limit on
// open files (RLIMIT_NOFILE) is lower, returns the highest number that the limit allows, and 0 if the limit leaves
// hardly any room.
int first_descriptor(std::uint64_t limit, std::size_t count);

// Moves the descriptors to the numbers that first_descriptor() chooses and returns them. A descriptor that can't be
// moved keeps its number.
std::vector<UniqueFd> out_of_the_way(std::vector<UniqueFd> descriptors);

} // namespace qemutap
