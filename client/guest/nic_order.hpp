// SPDX-License-Identifier: MIT
//
// Which of the guest's NICs are ours: `ip=` names them by number, and the guest counts. It finds the devices of one
// driver in the order of their places on the bus, and the drivers one after the other: built into the kernel in the
// order of its Makefiles, as modules in any order.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// One of the caller's.
struct OwnNic {
    std::string model;        // as in -device; empty: the machine's own choice
    std::string bus;          // empty: the machine's first of the kind
    bool has_address = false; // the caller chose its place on the bus
    bool is_machines = false; // by -nic or -net: made with the machine, before what -device says
    std::string backend;      // the text of its netdev, or its own if it needs none; empty: not in the command

    friend bool operator==(const OwnNic &, const OwnNic &) = default;
};

struct Machine {
    std::string architecture; // as behind qemu-system-; empty: the program is no QEMU that we know
    std::string type;         // the value of the last -machine; empty: the architecture's own choice
};

struct NicOrder {
    unsigned first = 0; // E of the guest's ethE that our first NIC is
    bool is_certain = true;
};

// For `count` NICs of ours of this model, behind the caller's in the command. Where drivers differ the order is not
// certain, and what is assumed holds for drivers that are built into the kernel. There virtio's is the first; of two
// models that are not known the caller's is taken for the first.
NicOrder nic_order(const Machine &machine, const std::vector<OwnNic> &own, std::string_view model, unsigned count);

// A NIC of a command in which the caller wrote ours too.
struct PlacedNic {
    OwnNic nic;
    std::optional<unsigned> tap; // its number in the lease; nullopt: the NIC is not on a tap of the lease
};

// The same for a command that connects the taps itself. The order is certain if the taps' NICs stand side by side in
// the order of the taps, and the guest is known to find all NICs in the order of the command.
NicOrder placed_order(const Machine &machine, std::vector<PlacedNic> nics, unsigned count);

// The model that a NIC of ours gets beside this one of the caller's. It has the same driver, so the guest finds the
// caller's first. It is virtio-net-pci where the caller's driver is not known.
std::string model_beside(const Machine &machine, const OwnNic &nic);

// What to say of an order that is not certain: what it is taken for, and how to say otherwise.
std::string order_warning(unsigned first_nic, const std::string &tap);

// Whether a virtio-net-device of ours is told its bus. QEMU fills the places of virtio-mmio from the last one down.
// Guests of Arm's machines look at them from the first one up, so ours need places there. A machine that is not seen is
// taken for one of those.
bool needs_mmio_place(const Machine &machine);

} // namespace qemutap
