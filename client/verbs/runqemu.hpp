// SPDX-License-Identifier: MIT
//
// The verb `runqemu`: starts Yocto's runqemu with taps that end with it.

#pragma once

#include "client/verbs/verb.hpp"
#include "client/vmm/args.hpp"
#include "contract/request.hpp"

#include <string>
#include <vector>

namespace qemutap {

struct RunqemuOptions {
    TapRequest request;
    NicOptions nic; // an empty device: the model of runqemu's own NIC
    bool ask_password = true;
    std::vector<std::string> arguments; // of runqemu
};

extern const Verb runqemu_verb;

int perform(const RunqemuOptions &options);

} // namespace qemutap
