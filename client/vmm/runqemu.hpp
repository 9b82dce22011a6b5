// SPDX-License-Identifier: MIT
//
// Prepares Yocto's runqemu for a lease. runqemu finds the lease's first tap by OE_TAP_NAME and connects its own NIC,
// eth0, to it. The further taps become further NICs through runqemu's arguments qemuparams= and bootparams=.

#pragma once

#include "client/vmm/args.hpp"
#include "contract/grant.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// The value for OE_TAP_NAME: runqemu takes the device whose name is this value and a number.
std::string tap_name_prefix(const TapGrant &tap);

// The file that runqemu locks for a tap. runqemu does not remove it, because another process may have locked it in the
// meantime. No process locks it after the lease: only one lease ever has the tap's name.
std::string lock_file(const TapGrant &tap);

// Throws TapError invalid_argument for an argument that makes runqemu use no tap.
void require_tap_network(const std::vector<std::string> &arguments);

// Decides by the text of the script that would be started as runqemu. Returns why it would not use the lease's tap, and
// what to do instead; nullopt if it may use it.
std::optional<std::string> runqemu_problem(std::string_view script);

struct RunqemuArguments {
    std::vector<std::string> words;
    std::optional<std::string> warning;
};

// Converts the text of a .qemuboot.conf to QEMU's words for the machine and its NICs.
std::vector<std::string> qemu_words(std::string_view settings);

// Adds all taps but the lease's first one to the caller's arguments. `settings` are those of the image that runqemu
// will start, if they are known. If no device is chosen, picks a model that the guest finds after runqemu's own NIC.
// runqemu uses only the last qemuparams= and the last bootparams=, so the words are added to the caller's. A
// bootparams= that has its own `ip=` stays unchanged, and the warning says so.
RunqemuArguments with_further_taps(std::vector<std::string> arguments, const LeaseGrant &lease, NicOptions options,
                                   const std::optional<std::string> &settings);

} // namespace qemutap
