// SPDX-License-Identifier: MIT
//
// Reads the caller's command and adds the words that connect it to the taps.

#include "client/verbs/run_command.hpp"

#include "client/guest/kernel_cmdline.hpp"
#include "client/guest/nic_order.hpp"
#include "client/launch/launch.hpp"
#include "client/verbs/result.hpp"
#include "client/vmm/command.hpp"
#include "client/vmm/placeholders.hpp"
#include "client/vmm/reach.hpp"
#include "common/error.hpp"
#include "contract/hold.hpp"

#include <utility>

namespace qemutap {

namespace {

using Words = std::vector<std::string>;

// True if the command may boot a guest: it has a kernel, a QEMU, or a script, which may have both.
bool may_boot(const Words &command, const CommandFacts &facts)
{
    return facts.has_kernel || !facts.machine.architecture.empty() || has_script_word(command) ||
           has_script_file(command);
}

// True if the command may have NICs that are not visible here: in a file of options, or in a script that starts QEMU.
bool may_hide_nics(const Words &command, const CommandFacts &facts)
{
    return facts.may_hide_nics ||
           (facts.machine.architecture.empty() && (has_script_word(command) || has_script_file(command)));
}

Words with_arguments_for_qemu(const RunOptions &options, const LeaseGrant &lease,
                              const std::vector<TapDescriptors> &descriptors, bool has_warned)
{
    const auto &command = options.command;
    const auto facts = look_at(command);
    auto nic = options.nic;
    nic.netdev = added_netdev;
    nic.first_netdev = facts.first_free_netdev;
    nic.first_mmio_bus = needs_mmio_place(facts.machine) ? std::optional{facts.first_free_mmio_bus} : std::nullopt;
    auto order = nic_order(facts.machine, facts.nics, nic.device, static_cast<unsigned>(lease.taps.size()));
    order.is_certain = order.is_certain && !may_hide_nics(command, facts);
    const unsigned first_nic = nic.first_nic.value_or(order.first);
    const auto args =
        rule_of(lease.hold).gives_descriptors ? qemu_args(lease, descriptors, nic) : qemu_args(lease, nic);
    auto merged = merge(command, facts, args, kernel_cmdline_words(lease, first_nic));
    if (has_warned || !may_boot(command, facts))
        return merged.words;
    warn(merged.warning);
    if (facts.has_kernel && !merged.warning && !order.is_certain && !nic.first_nic)
        warn(order_warning(first_nic, lease.taps.front().name));
    return merged.words;
}

} // namespace

std::optional<std::string> unreached_taps(const RunOptions &options)
{
    const bool by_descriptors = rule_of(options.request.hold).gives_descriptors;
    if (has_placeholders(options.command, options.request)) {
        auto problem = carrier_problem(options.command, options.request);
        if (problem && by_descriptors)
            throw TapError{ErrorCode::invalid_argument, *problem};
        return problem;
    }
    const auto problem = reach_problem(options.command, look_at(options.command));
    if (problem && problem->names_qemu && by_descriptors)
        throw TapError{ErrorCode::invalid_argument, problem->text};
    return problem ? std::optional{problem->text} : std::nullopt;
}

Words command_with_taps(const RunOptions &options, const Acquired &acquired, bool has_warned)
{
    const auto descriptors = split_descriptors(acquired);
    const auto &lease = acquired.grant;
    const bool has_any = has_placeholders(options.command, options.request);
    const auto order = order_by_placeholders(options.command, options.request.count);
    const unsigned first_nic = options.nic.first_nic.value_or(order.first);
    if (has_any && !order.is_certain && !options.nic.first_nic)
        warn(order_warning(first_nic, lease.taps.front().name));
    // A command without placeholders is filled too, because {{name}} must become {name}.
    auto filled = options;
    filled.command = with_placeholders(options.command, lease, descriptors, first_nic);
    return has_any ? filled.command : with_arguments_for_qemu(filled, lease, descriptors, has_warned);
}

} // namespace qemutap
