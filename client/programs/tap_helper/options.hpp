// SPDX-License-Identifier: MIT
//
// Reads the command line that QEMU passes to its helper (`helper=`). libvirt passes the same one.

#pragma once

#include <optional>
#include <string>

namespace qemutap {

struct HelperOptions {
    int socket;        // a connected Unix socket of the caller, which receives the descriptor
    std::string label; // empty: the lease has no label
};

// Reads the options. nullopt: the requested text (--help, --version) is printed to stdout and no work is left. Throws
// TapError invalid_argument.
std::optional<HelperOptions> parse_helper_options(int argc, const char *const *argv);

} // namespace qemutap
