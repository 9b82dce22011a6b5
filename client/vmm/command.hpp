// SPDX-License-Identifier: MIT
//
// Reads a caller's QEMU command and adds the lease to it. The lease's NICs follow the caller's arguments, so wrappers
// before QEMU (taskset, gdb --args) stay in front. The `ip=` words are added to the caller's -append.

#pragma once

#include "client/guest/nic_order.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace qemutap {

struct CommandFacts {
    bool has_kernel = false;
    std::optional<std::size_t> append; // the position of the last -append's value: QEMU uses the last
    Machine machine;
    std::vector<OwnNic> nics;
    bool may_hide_nics = false; // QEMU reads options from a file (-readconfig)
    // The ids tapctlN are free from this N on: neither the caller nor an outer `run` uses them.
    unsigned first_free_netdev = 0;
    unsigned first_free_mmio_bus = 0; // places virtio-mmio-bus.N are free from this N on
};

// Reads a command as QEMU would: decides which words are options and which are their values.
CommandFacts look_at(const std::vector<std::string> &command);

struct MergedCommand {
    std::vector<std::string> words;
    std::optional<std::string> warning;
};

// Appends `qemu_args`, and adds `cmdline` to -append if the command has a -kernel. An -append that has its own `ip=`
// stays unchanged, and a command without -kernel gets no -append. In both cases the warning lists the words that the
// guest needs.
MergedCommand merge(std::vector<std::string> command, const CommandFacts &facts,
                    const std::vector<std::string> &qemu_args, const std::vector<std::string> &cmdline);

} // namespace qemutap
