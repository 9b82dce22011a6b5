// SPDX-License-Identifier: MIT
//
// Gives a user's program a session of its own, and a terminal of its own if root has a terminal. In root's session the
// program could signal root's processes. At root's terminal it could type into root's shell (TIOCSTI of ioctl_tty(2)).

#pragma once

#include "client/launch/become_user.hpp"

#include <optional>
#include <sys/types.h>

namespace qemutap {

struct Departure {
    std::optional<int> end; // in the relay: the program's wait status as waitpid(2) reports it
    pid_t relay = 0;        // in the program: the relay's process; 0 if there is no relay
};

// If there is no terminal, the calling process gets a session of its own and continues. Otherwise, and if the kernel
// refuses that session to it (setsid(2)), the process forks. In the new process, the program's, the function returns at
// once, in a session of its own. The calling process becomes the relay and stays in its session; there the function
// returns when the program has ended. The relay keeps every descriptor that is open at the call, so call it before
// opening any that the relay must not keep. Throws std::system_error.
Departure leave_session(const User &user);

// Makes the kernel send SIGTERM to this process when its relay ends. A change of the user id cancels this, so call it
// after the change.
void end_with(pid_t relay);

} // namespace qemutap
