// SPDX-License-Identifier: MIT
//
// What the core takes from the machine without a port of its own: identity, chance and time.

#pragma once

#include "daemon/core/lease_table.hpp"

#include <cstdint>
#include <string>

namespace qemutap {

// Tells this machine's guests from another's on the same bridge; 0 for a machine without an id.
std::uint8_t machine_byte();

// 16 hexadecimal digits. Throws std::system_error.
std::string new_lease_id();

// CLOCK_BOOTTIME.
Moment now();

} // namespace qemutap
