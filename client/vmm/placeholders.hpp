// SPDX-License-Identifier: MIT
//
// Fills placeholders in a command for any virtual machine monitor, such as {tap0} for the first tap's name. A command
// with placeholders gets no further arguments.
//
// A placeholder is "{", lower-case letters, optional digits, and "}". All other text stays unchanged, such as JSON and
// the shell's ${name}. {{name}} becomes the text {name}.

#pragma once

#include "client/guest/nic_order.hpp"
#include "client/vmm/args.hpp"
#include "contract/descriptors.hpp"
#include "contract/grant.hpp"
#include "contract/request.hpp"

#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// True if any argument has a placeholder. The first word is the program's name and has none. Throws TapError
// invalid_argument for a placeholder that the requested taps can't fill, so that a wrong command fails before a lease
// is acquired.
bool has_placeholders(const std::vector<std::string> &command, const TapRequest &request);

// Checks a command with placeholders, to which `run` adds nothing. Returns a text that names a tap without a
// placeholder. nullopt: each tap has a placeholder, or the command has {lease}, by which a program can find all taps.
std::optional<std::string> carrier_problem(const std::vector<std::string> &command, const TapRequest &request);

// Predicts for {cmdline} in which order the guest finds the NICs that the caller connected by placeholders. Assumes
// nothing if the command has no {cmdline} or no QEMU.
NicOrder order_by_placeholders(const std::vector<std::string> &command, unsigned count);

// Fills the placeholders, and replaces {{name}} by {name}. `descriptors` has one element for each tap, or none for a
// lease held by name. `first_nic` is the number E of the guest's ethE on the first tap, for {cmdline}.
std::vector<std::string> with_placeholders(std::vector<std::string> command, const LeaseGrant &lease,
                                           const std::vector<TapDescriptors> &descriptors, unsigned first_nic = 0);

} // namespace qemutap
