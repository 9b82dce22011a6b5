// SPDX-License-Identifier: MIT
//
// The verb `args`: prints the arguments for an existing lease again.

#pragma once

#include "client/show/output.hpp"
#include "client/verbs/verb.hpp"
#include "client/vmm/args.hpp"

#include <string>

namespace qemutap {

struct ArgsOptions {
    std::string name; // a lease's id, a label or a tap's name
    NicOptions nic;
    Format format = Format::qemu;
};

extern const Verb args_verb;

int perform(const ArgsOptions &options);

} // namespace qemutap
