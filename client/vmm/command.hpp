// SPDX-License-Identifier: MIT
//
// A caller's QEMU command and what becomes of it: our NICs behind the caller's arguments, so that whatever
// stands before QEMU (taskset, gdb --args) stays in front, and the `ip=` words in the caller's -append.

#pragma once

#include "client/guest/nic_order.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace qemutap {

struct CommandFacts {
    bool has_kernel = false;
    std::optional<std::size_t> append; // the position of the last -append's value: QEMU takes the last
    Machine machine;
    std::vector<OwnNic> nics;
    bool may_hide_nics = false;       // there is a file of options
    unsigned first_free_netdev = 0;   // tapctlI from here on is not the caller's, nor of a run around this one
    unsigned first_free_mmio_bus = 0; // the same of virtio-mmio-bus.N
};

// Reads a command as QEMU would: which words are options, and which their values.
CommandFacts look_at(const std::vector<std::string> &command);

struct MergedCommand {
    std::vector<std::string> words;
    std::optional<std::string> warning;
};

// The words of `cmdline` go into -append where there is a -kernel to read them. An -append that has an `ip=` stays as
// it is, and a command without -kernel gets no -append; the warning then has the words that the guest would need.
MergedCommand merge(std::vector<std::string> command, const CommandFacts &facts,
                    const std::vector<std::string> &qemu_args, const std::vector<std::string> &cmdline);

} // namespace qemutap
