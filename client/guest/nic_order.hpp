// SPDX-License-Identifier: MIT
//
// Predicts which of the guest's NICs are on the lease's taps: `ip=` names NICs by number, and the guest numbers them as
// it finds them. The guest finds the devices of one driver in the order of their places on the bus. It probes built-in
// drivers in the order of the kernel's Makefiles, and modules in any order.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// A NIC that the caller's command has besides the lease's.
struct OwnNic {
    std::string model;        // as in -device; empty: the machine chooses
    std::string bus;          // empty: the machine's first bus of the kind
    bool has_address = false; // the caller chose its place on the bus
    bool is_machines = false; // by -nic or -net: QEMU creates it before all -device NICs
    std::string backend;      // its netdev's value, or its own value if it needs no netdev; empty: unknown

    friend bool operator==(const OwnNic &, const OwnNic &) = default;
};

struct Machine {
    std::string architecture; // the suffix of qemu-system-; empty: the program is no known QEMU
    std::string type;         // the value of the last -machine; empty: the architecture's default
};

struct NicOrder {
    unsigned first = 0; // the number E of the guest's ethE on the lease's first tap
    bool is_certain = true;
};

// Predicts the order for `count` NICs of the lease that follow the caller's NICs in the command and have this model. If
// drivers differ, the order is not certain; the prediction then assumes drivers that are built into the kernel, where
// virtio comes first. If both models are unknown, it assumes that the caller's comes first.
NicOrder nic_order(const Machine &machine, const std::vector<OwnNic> &own, std::string_view model, unsigned count);

// A NIC of a command in which the caller placed all NICs, the lease's too.
struct PlacedNic {
    OwnNic nic;
    std::optional<unsigned> tap; // its number in the lease; nullopt: the NIC is not on a tap of the lease
};

// Predicts the order for a command that connects the taps itself. The order is certain if the taps' NICs follow one
// another directly in the order of the taps, and the guest is known to find all NICs in the order of the command.
NicOrder placed_order(const Machine &machine, std::vector<PlacedNic> nics, unsigned count);

// The model for a lease's NIC that is added after the caller's `nic`. It has the same driver, so the guest finds the
// caller's NIC first. If the caller's driver is not known, it is virtio-net-pci.
std::string model_beside(const Machine &machine, const OwnNic &nic);

// The warning for an order that is not certain: the order that is assumed, and the option that corrects it.
std::string order_warning(unsigned first_nic, const std::string &tap);

// True if a virtio-net-device of the lease needs an explicit bus. QEMU fills the virtio-mmio places from the last one
// down. Guests of Arm's machines search them from the first one up, so the lease's NICs need explicit places there. A
// machine that is not recognised is treated as one of those.
bool needs_mmio_place(const Machine &machine);

} // namespace qemutap
