// SPDX-License-Identifier: MIT
//
// A command for any virtual machine monitor: where its arguments stand for what a lease gives, such as {tap0} for
// the first tap's name, they are filled in, and nothing is added of ours.
//
// Only "{", lower-case letters, digits if any, and "}" are looked at: JSON stays as it is, and so does the shell's
// ${name}. {{name}} stands for the text {name}.

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

// Whether any argument has a placeholder; the first word is the program's name and has none. Throws TapError
// invalid_argument for one that the taps asked for can't fill: all is known before anything is acquired.
bool has_placeholders(const std::vector<std::string> &command, const TapRequest &request);

// For a command with placeholders, to which `run` adds nothing: names a tap that none of them tells the program of.
// nullopt: each tap has a placeholder, or the lease has one, by which a program finds all of them.
std::optional<std::string> carrier_problem(const std::vector<std::string> &command, const TapRequest &request);

// Where the guest finds the NICs that the caller connected by placeholders, for {cmdline}. Where no {cmdline} is, or no
// QEMU, nothing is assumed.
NicOrder order_by_placeholders(const std::vector<std::string> &command, unsigned count);

// The command with the placeholders filled, and with {name} for {{name}}. `descriptors` has an element for each tap,
// or none for a lease held by name. `first_nic` is E of the guest's ethE that the first tap is, for {cmdline}.
std::vector<std::string> with_placeholders(std::vector<std::string> command, const LeaseGrant &lease,
                                           const std::vector<TapDescriptors> &descriptors, unsigned first_nic = 0);

} // namespace qemutap
