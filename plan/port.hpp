// SPDX-License-Identifier: MIT
//
// A port: the place of one tap in a network. The position gives the guest's address and both MACs.

#pragma once

#include "common/ipv4.hpp"
#include "common/mac_address.hpp"

#include <cstdint>

namespace qemutap {

// The third byte of a MAC has room for so many.
inline constexpr unsigned max_ports = 253;

struct Port {
    unsigned position = 0; // from 0
    Ipv4Address guest{};
    MacAddress guest_mac{};
    MacAddress host_mac{};
};

// The guest's address follows the gateway's: .2 at port 0 of a network whose gateway is .1.
Ipv4Address guest_address(Ipv4Address gateway, unsigned position = 0);

// How many guests fit between the gateway and the broadcast address; 1 where the gateway has a prefix of its own.
unsigned port_count(const Ipv4Prefix &gateway);

// What a MAC is made from: `first_byte` 0x52 is the guest's and 0xfe the host's, which is above every address that a
// bridge would take for its own (a bridge takes its lowest port's). `rule_byte` is the address rule's own.
struct MacSource {
    std::uint8_t machine_byte = 0;
    std::uint8_t rule_byte = 0;
    unsigned index = 0;
    unsigned position = 0;
};

// Injective on a host. Never 52:54:00:12:..., which QEMU and runqemu hand out.
MacAddress make_guest_mac(const MacSource &source);
MacAddress make_host_mac(const MacSource &source);

} // namespace qemutap
