// SPDX-License-Identifier: MIT
//
// Writes the `-netdev`/`-device` pairs that connect QEMU to a lease's taps (qemu(1), "Network options"). Every netdev
// has exactly one device, and the pairs follow the order of the taps.

#pragma once

#include "contract/descriptors.hpp"
#include "contract/grant.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// QEMU's names for the places of virtio-mmio devices, without their number.
inline constexpr std::string_view mmio_bus = "virtio-mmio-bus.";
// The ids of netdevs, without their number. plain_netdev is for output that holds only these pairs, as people write
// them. added_netdev is for pairs that are added to a caller's command: a script or file in the command may already use
// net0.
inline constexpr std::string_view plain_netdev = "net";
inline constexpr std::string_view added_netdev = "tapctl";

struct NicOptions {
    std::string device = "virtio-net-pci";  // a NIC model, optionally with further properties after a comma
    std::string_view netdev = plain_netdev; // the text before the number in a netdev's id
    unsigned first_netdev = 0;              // the number in the first netdev's id
    // The number of the first virtio-mmio bus, for a virtio-net-device; nullopt: QEMU chooses the buses.
    std::optional<unsigned> first_mmio_bus = 0;
    std::optional<unsigned> first_nic; // the caller's number E of the guest's ethE on the first tap
};

// The arguments for a lease held by name: QEMU opens the devices itself. They turn scripts off, because QEMU runs
// /etc/qemu-ifup on a tap by default.
std::vector<std::string> qemu_args(const LeaseGrant &lease, const NicOptions &options);
// The arguments for a lease held by descriptors: QEMU inherits them. `descriptors` has one element for each tap.
std::vector<std::string> qemu_args(const LeaseGrant &lease, const std::vector<TapDescriptors> &descriptors,
                                   const NicOptions &options);

// True if the text is a valid value of -device: a model's name, with properties that need no quoting in a shell.
bool is_device_model(std::string_view text);

// Joins the words with spaces and quotes them, so that sh(1) reads the line back as `words`.
std::string shell_line(const std::vector<std::string> &words);

} // namespace qemutap
