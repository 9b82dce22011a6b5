// SPDX-License-Identifier: MIT
//
// The verb `run`: starts QEMU, or another program, with taps that end with it.

#pragma once

#include "client/verbs/verb.hpp"
#include "client/vmm/args.hpp"
#include "contract/request.hpp"

#include <optional>
#include <string>
#include <vector>

namespace qemutap {

struct RunOptions {
    TapRequest request;
    NicOptions nic;
    bool ask_password = true;
    std::optional<std::string> user;  // root becomes this user before the lease is acquired
    bool keep_environment = false;    // the user's program keeps root's environment
    std::vector<std::string> command; // never empty
};

extern const Verb run_verb;

// Acquires the lease and starts the command. With taps held by descriptors it executes the command in place of this
// program, so it returns only if the command can't be started. With taps held by name it waits for the command,
// releases the lease and ends as the command ended.
int perform(const RunOptions &options);

} // namespace qemutap
