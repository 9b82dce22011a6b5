// SPDX-License-Identifier: MIT
//
// Checks if words that are added at the end of a command reach QEMU. A shell that gets its script as a word (sh -c)
// takes the words after the script as $0, $1, ..., and QEMU gets only those that the script passes on.

#pragma once

#include "client/vmm/command.hpp"

#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// True if a word of the command is a script, such as the one after sh -c.
bool has_script_word(const std::vector<std::string> &command);

struct ReachProblem {
    std::string text;        // the reason, and how to correct the command
    bool names_qemu = false; // the script starts QEMU, so the caller certainly wants taps in it
};

// Returns the problem if added words would not reach QEMU; nullopt: no problem is known. `facts` are those of
// `command`.
std::optional<ReachProblem> reach_problem(const std::vector<std::string> &command, const CommandFacts &facts);

} // namespace qemutap
