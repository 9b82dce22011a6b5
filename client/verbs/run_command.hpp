// SPDX-License-Identifier: MIT
//
// Makes the command that `run` starts: fills its placeholders, or adds arguments for QEMU.

#pragma once

#include "client/verbs/run.hpp"
#include "contract/descriptors.hpp"

#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// Returns a warning if the command gets no word about its taps. Throws TapError invalid_argument if the command
// certainly can't work without one.
std::optional<std::string> unreached_taps(const RunOptions &options);

// Returns the command with its taps. Warns on stderr of addresses that the guest may not use. `has_warned`:
// unreached_taps() has returned a warning, so advice on the guest is of no use.
std::vector<std::string> command_with_taps(const RunOptions &options, const Acquired &acquired, bool has_warned);

} // namespace qemutap
