// SPDX-License-Identifier: MIT
//
// The `-netdev`/`-device` pairs that connect QEMU to a lease's taps (qemu(1), "Network options"). Every netdev
// has exactly one device, and the pairs stand in the order of the taps.

#pragma once

#include "contract/descriptors.hpp"
#include "contract/grant.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// QEMU's names for the places of virtio-mmio devices.
inline constexpr std::string_view mmio_bus = "virtio-mmio-bus.";
// The ids of netdevs where the pairs are all there is, as people write them; and behind somebody's command, which may
// have net0 in a script or a file that we don't see.
inline constexpr std::string_view plain_netdev = "net";
inline constexpr std::string_view added_netdev = "tapctl";

struct NicOptions {
    std::string device = "virtio-net-pci";  // a NIC model, with further properties after a comma if need be
    std::string_view netdev = plain_netdev; // what stands before I in a netdev's id
    unsigned first_netdev = 0;              // I of the first one
    std::optional<unsigned> first_mmio_bus =
        0;                             // N of the first virtio-mmio-bus.N, of a virtio-net-device; nullopt: QEMU's
    std::optional<unsigned> first_nic; // E of the guest's ethE that the first one is, as the caller says
};

// QEMU opens the devices by name. Without scripts: by default QEMU runs /etc/qemu-ifup on them.
std::vector<std::string> qemu_args(const LeaseGrant &lease, const NicOptions &options);
// QEMU is given the devices open. `descriptors` has an element for each tap.
std::vector<std::string> qemu_args(const LeaseGrant &lease, const std::vector<TapDescriptors> &descriptors,
                                   const NicOptions &options);

// True for what can stand behind -device: a model's name, and properties that need no quoting anywhere.
bool is_device_model(std::string_view text);

// In words, separated by spaces, that sh(1) reads back as `words`.
std::string shell_line(const std::vector<std::string> &words);

} // namespace qemutap
