// SPDX-License-Identifier: MIT
//
// Runs a command as a child instead of in place of this program, for a lease that must be released when the command
// ends. The parent of this program sees no difference. The command has the same terminal and process group and receives
// the signals sent to this program. This program stops when the command stops, and ends as the command ended.

#pragma once

#include <string>
#include <vector>

namespace qemutap {

// Runs the command to its end and returns its wait status as waitpid(2) reports it. Then ends the processes that the
// command leaves: SIGTERM first, SIGKILL one second later. If this process is killed, the kernel sends SIGTERM to the
// command. From the call on, signals that would end this process stay blocked, so the caller can finish its work before
// it calls end_like(). Throws std::system_error.
int supervise(const std::vector<std::string> &words);

// Ends this process by the signal that ended the command. If no signal ended it, returns the command's exit status.
int end_like(int wait_status);

} // namespace qemutap
