// SPDX-License-Identifier: MIT
//
// The values that the core takes from the machine without a port: identity, random numbers and time.

#pragma once

#include "daemon/core/lease_table.hpp"

#include <cstdint>
#include <string>

namespace qemutap {

// A byte that distinguishes this machine's guests from those of another machine on the same bridge; 0 if the machine
// has no id.
std::uint8_t machine_byte();

// Returns 16 random hexadecimal digits. Throws std::system_error.
std::string new_lease_id();

// Reads CLOCK_BOOTTIME.
Moment now();

} // namespace qemutap
