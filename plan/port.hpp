// SPDX-License-Identifier: MIT
//
// A port is the place of one tap in a network. Its position determines the guest's address and both MACs.

#pragma once

#include "common/ipv4.hpp"
#include "common/mac_address.hpp"

#include <cstdint>

namespace qemutap {

// The third byte of a MAC has room for this many ports.
inline constexpr unsigned max_ports = 253;

struct Port {
    unsigned position = 0; // from 0
    Ipv4Address guest{};
    MacAddress guest_mac{};
    MacAddress host_mac{};
};

// The address of the guest at this port. It follows the gateway's: .2 at port 0 if the gateway is .1.
Ipv4Address guest_address(Ipv4Address gateway, unsigned position = 0);

// The number of guests that fit between the gateway and the broadcast address. 1 if the gateway has a prefix of 32
// bits.
unsigned port_count(const Ipv4Prefix &gateway);

// The values that determine a MAC. `rule_byte` is the address rule's mac_byte.
struct MacSource {
    std::uint8_t machine_byte = 0;
    std::uint8_t rule_byte = 0;
    unsigned index = 0;
    unsigned position = 0;
};

// Different sources on a host give different MACs. The guest's MAC begins with 0x52 and is never 52:54:00:12:..., which
// QEMU and runqemu use. The host's MAC begins with 0xfe: a bridge takes the lowest MAC of its ports as its own, and
// this one is above all usual MACs.
MacAddress make_guest_mac(const MacSource &source);
MacAddress make_host_mac(const MacSource &source);

} // namespace qemutap
