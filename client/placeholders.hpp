// SPDX-License-Identifier: MIT
//
// A command for any virtual machine monitor: where its arguments stand for what a lease gives, such as {tap0} for
// the first tap's name, they are filled in, and nothing is added of ours.
//
// Only "{", lower-case letters, digits if any, and "}" are looked at: JSON stays as it is, and so does the shell's
// ${name}. {{name}} stands for the text {name}.

#pragma once

#include "client/qemu/args.hpp"
#include "common/grant.hpp"

#include <string>
#include <vector>

namespace qemutap {

// Whether any argument has a placeholder; the first word is the program's name and has none. Throws TapError
// invalid_argument for one that the taps asked for can't fill: all is known before anything is acquired.
bool has_placeholders(const std::vector<std::string> &command, const TapRequest &request);

// The command with the placeholders filled, and with {name} for {{name}}. `descriptors` has an element for each tap,
// or none for a lease held by name.
std::vector<std::string> with_placeholders(std::vector<std::string> command, const LeaseGrant &lease,
                                           const std::vector<TapDescriptors> &descriptors);

} // namespace qemutap
