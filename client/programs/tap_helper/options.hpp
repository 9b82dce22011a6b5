// SPDX-License-Identifier: MIT
//
// What QEMU says to the program that it lets open its taps (`helper=`), read into a value. libvirt says the same.

#pragma once

#include <optional>
#include <string>

namespace qemutap {

struct HelperOptions {
    int socket;        // of the caller's pair, where the descriptor is to go
    std::string label; // empty: none
};

// nullopt: the text asked for (--help, --version) was printed to stdout and there is nothing else to do.
// Throws TapError invalid_argument.
std::optional<HelperOptions> parse_helper_options(int argc, const char *const *argv);

} // namespace qemutap
