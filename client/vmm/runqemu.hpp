// SPDX-License-Identifier: MIT
//
// Yocto's runqemu on a lease. It finds the lease's first tap by OE_TAP_NAME and connects its own NIC, eth0, to it;
// the further taps come as further NICs through the arguments that it has for this: qemuparams= and bootparams=.

#pragma once

#include "client/vmm/args.hpp"
#include "contract/grant.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// What OE_TAP_NAME is to be: runqemu takes the device of this name and a number.
std::string tap_name_prefix(const TapGrant &tap);

// What runqemu locks of a tap. It leaves the file there, as others may have locked it meanwhile; of a name that only
// one lease ever has nobody will.
std::string lock_file(const TapGrant &tap);

// Throws TapError invalid_argument for an argument by which runqemu would use no tap.
void require_tap_network(const std::vector<std::string> &arguments);

struct RunqemuArguments {
    std::vector<std::string> words;
    std::optional<std::string> warning;
};

// QEMU's words in the text of a .qemuboot.conf, as far as they say which machine and which NICs there are.
std::vector<std::string> qemu_words(std::string_view settings);

// The caller's arguments with the lease's taps but the first. `settings` are those of the image that runqemu will
// start, if they are known; a device that is not chosen is one that the guest finds behind runqemu's own. runqemu takes
// the last qemuparams= and the last bootparams=, so ours are added to the caller's; a bootparams= that has an `ip=`
// stays as it is, and the warning says so.
RunqemuArguments with_further_taps(std::vector<std::string> arguments, const LeaseGrant &lease, NicOptions options,
                                   const std::optional<std::string> &settings);

} // namespace qemutap
