// SPDX-License-Identifier: MIT
//
// Whether what is added behind a command reaches QEMU. A shell that is given its script as a word (sh -c) takes what
// stands behind it as $0, $1, ..., and QEMU gets of these only what the script passes on.

#pragma once

#include "client/vmm/command.hpp"

#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// Whether a word of the command is a script, as of sh -c.
bool has_script_word(const std::vector<std::string> &command);

struct ReachProblem {
    std::string text;        // why it does not, and what helps
    bool names_qemu = false; // the script starts QEMU: that it is to have no tap can't be meant
};

// nullopt: nothing speaks against it. `facts` are the command's.
std::optional<ReachProblem> reach_problem(const std::vector<std::string> &command, const CommandFacts &facts);

} // namespace qemutap
