// SPDX-License-Identifier: MIT
//
// The numbers that a command finds its descriptors under.

#pragma once

#include "common/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace qemutap {

// The lowest number that a command's descriptors get: far above those that shells and scripts choose (flock(1) has 9
// and 200), and so that select(2) can still name the last of `count`. Where the limit on open files (RLIMIT_NOFILE) is
// lower, the highest that it allows; 0 where there is hardly any room.
int first_descriptor(std::uint64_t limit, std::size_t count);

// The same descriptors under such numbers; one that can't be moved keeps its own.
std::vector<UniqueFd> out_of_the_way(std::vector<UniqueFd> descriptors);

} // namespace qemutap
