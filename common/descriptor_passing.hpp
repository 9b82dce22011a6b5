// SPDX-License-Identifier: MIT
//
// Descriptors through a Unix socket (unix(7), SCM_RIGHTS): one message of one byte, and all descriptors with it.

#pragma once

#include "common/unique_fd.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace qemutap {

// The kernel's SCM_MAX_FD.
inline constexpr std::size_t max_passed_descriptors = 253;

// Throws std::system_error. Waits for room where the socket blocks.
void send_descriptors(int socket, std::span<const UniqueFd> descriptors);

// The descriptors of the message that is there, all closed on exec; none if no message or no descriptor is. Does not
// wait. Throws std::system_error, also if some of them did not fit into this process.
std::vector<UniqueFd> receive_descriptors(int socket);

} // namespace qemutap
