// SPDX-License-Identifier: MIT
//
// Passes descriptors through a Unix socket (unix(7), SCM_RIGHTS). One message carries one byte and all descriptors.

#pragma once

#include "common/unique_fd.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace qemutap {

// The kernel's limit for one message, SCM_MAX_FD.
inline constexpr std::size_t max_passed_descriptors = 253;

// Sends 1 to max_passed_descriptors descriptors in one message; the caller keeps its own. On a blocking socket it waits
// until the socket has room. Throws std::system_error; no descriptor is sent then.
void send_descriptors(int socket, std::span<const UniqueFd> descriptors);

// Receives one message without waiting and returns its descriptors, all closed on exec. Returns none if there is no
// message or if it has no descriptors. Throws std::system_error, also if some of the descriptors did not fit into this
// process; the received ones are closed then.
std::vector<UniqueFd> receive_descriptors(int socket);

} // namespace qemutap
