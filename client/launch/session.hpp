// SPDX-License-Identifier: MIT
//
// A program in root's session may signal what is in it, and one at root's terminal may type into root's shell
// (TIOCSTI of ioctl_tty(2)). A user's program therefore has a session of its own, and a terminal of its own where root
// has one.

#pragma once

#include "client/launch/become_user.hpp"

#include <optional>
#include <sys/types.h>

namespace qemutap {

struct Departure {
    std::optional<int> end; // in the relay: the end of the program, as waitpid(2) returns it
    pid_t relay = 0;        // in the program: the process that relays for it; 0 where none is needed
};

// Without a terminal the calling process goes on in a session of its own. Elsewhere it becomes two: the program's, in
// which this returns at once, and a relay that stays where the caller was, in which this returns when the program has
// ended. The caller has opened nothing yet that the relay must not keep. Throws std::system_error.
Departure leave_session(const User &user);

// From here on this process gets SIGTERM when its relay ends. A change of user undoes it.
void end_with(pid_t relay);

} // namespace qemutap
