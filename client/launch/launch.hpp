// SPDX-License-Identifier: MIT
//
// Starting a command: whether that is possible, asked before anything is acquired for it, and becoming it.

#pragma once

#include "common/unique_fd.hpp"

#include <string>
#include <vector>

namespace qemutap {

// Where execvp(3) would find it; 0 if it can be started, else the status to end with.
int command_problem(const std::string &command);

// Whether the command is, or has among its words, a file that is a script ("#!" of execve(2)): what that starts, and
// with which arguments of its own, is not seen here.
bool has_script_file(const std::vector<std::string> &command);

// Says on stderr why the command can't be started; returns the status.
int report_command(const std::string &command, int status);

// Becomes the command; its descriptors are inherited, everything else of ours closes. Returns, with the status to end
// with, only if that is not possible.
int become(const std::vector<std::string> &words, const std::vector<UniqueFd> &descriptors);

} // namespace qemutap
