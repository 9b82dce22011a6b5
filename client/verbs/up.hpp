// SPDX-License-Identifier: MIT
//
// The verb `up`: gets taps by name and prints the arguments that QEMU needs for them.

#pragma once

#include "client/show/output.hpp"
#include "client/verbs/verb.hpp"
#include "client/vmm/args.hpp"
#include "contract/request.hpp"

#include <optional>
#include <string>

namespace qemutap {

struct UpOptions {
    TapRequest request;
    NicOptions nic;
    bool ask_password = true;
    std::optional<std::string> user; // root becomes this user; the lease belongs to this user
    Format format = Format::text;
};

extern const Verb up_verb;

// Acquires the lease and prints its description. Releases the lease if the description can't be printed.
int perform(const UpOptions &options);

} // namespace qemutap
