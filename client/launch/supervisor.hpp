// SPDX-License-Identifier: MIT
//
// A command beside us instead of in our place, for a lease that must be ended when the command has ended. Whoever
// started us notices no difference: the command has our terminal and our process group, what is sent to us reaches
// it, we stop when it stops and end as it ended.

#pragma once

#include <string>
#include <vector>

namespace qemutap {

// Runs the command to its end, and ends what it leaves behind: processes get SIGTERM, and SIGKILL a second later.
// Where we are killed ourselves the command gets SIGTERM. Returns its end as waitpid(2) tells it. From here on signals
// that would end us wait: what is left to do is done, and end_like() has the last word. Throws std::system_error.
int supervise(const std::vector<std::string> &words);

// Ends us by the signal that ended the command; returns its exit status if it was none.
int end_like(int wait_status);

} // namespace qemutap
