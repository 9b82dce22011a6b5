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
    std::optional<std::string> user;  // root becomes this user
    bool keep_environment = false;    // for this user
    std::vector<std::string> command; // never empty
};

extern const Verb run_verb;

// With taps held by descriptors it returns only if the command can't be started.
int perform(const RunOptions &options);

} // namespace qemutap
