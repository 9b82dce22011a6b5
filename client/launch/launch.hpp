// SPDX-License-Identifier: MIT
//
// Starts a command in place of this program. Callers check that a command can be started before they acquire a lease
// for it.

#pragma once

#include "common/unique_fd.hpp"

#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// Looks for the command where execvp(3) would. Returns 0 if it can be started, else the exit status that says why not
// (126 or 127).
int command_problem(const std::string &command);

// True if the command is a script ("#!" of execve(2)) or has a script's path among its words. The client can't see
// which programs a script starts and which arguments it gives them.
bool has_script_file(const std::vector<std::string> &command);

// The text of the script that execvp(3) would start for this command. nullopt: it is no script, can't be read, or has
// more than 1 MiB.
std::optional<std::string> script_text(const std::string &command);

// Prints to stderr why the command can't be started. Returns `status`.
int report_command(const std::string &command, int status);
int report_command(const std::string &command, int status, const std::string &reason);

// Executes the command in place of this program. The command inherits `descriptors`; all other descriptors of this
// program are close-on-exec. Returns only on failure, with the exit status to end with (126 or 127).
int become(const std::vector<std::string> &words, const std::vector<UniqueFd> &descriptors);

} // namespace qemutap
