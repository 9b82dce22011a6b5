// SPDX-License-Identifier: MIT
//
// The command of `run` as it is started: with its placeholders filled, or with arguments for QEMU added.

#pragma once

#include "client/verbs/run.hpp"
#include "contract/descriptors.hpp"

#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// A warning for a command that learns nothing of its taps. Throws TapError invalid_argument where the command can't
// work without them.
std::optional<std::string> unreached_taps(const RunOptions &options);

// Warns of what the guest may not find. After a warning of unreached_taps() advice on the guest is of no use.
std::vector<std::string> command_with_taps(const RunOptions &options, const Acquired &acquired, bool has_warned);

} // namespace qemutap
