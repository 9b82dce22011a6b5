// SPDX-License-Identifier: MIT
//
// Makes MACs of the form 52:54:PP:MM:NN:NN for guests; the host's MAC has fe instead of 52. MM is a byte of the machine
// id, NN:NN is the network's index. At port 0, PP is the address rule's byte (0 for the standard rule, 1 for
// runqemu's). At a further port P, PP is P + 1, so no port of a standard network has the MAC of a runqemu tap.

#include "plan/port.hpp"

#include <algorithm>

namespace qemutap {

namespace {

constexpr std::uint8_t guest_byte = 0x52;
constexpr std::uint8_t host_byte = 0xfe;
constexpr std::uint8_t reserved_machine_byte = 0x12; // QEMU and runqemu use 52:54:00:12:34:xx by default

MacAddress mac(std::uint8_t first_byte, const MacSource &source)
{
    const auto port_byte = source.position == 0 ? source.rule_byte : static_cast<std::uint8_t>(source.position + 1);
    const auto machine_byte =
        static_cast<std::uint8_t>(source.machine_byte + (source.machine_byte == reserved_machine_byte ? 1 : 0));
    return {{first_byte, 0x54, port_byte, machine_byte, static_cast<std::uint8_t>(source.index >> 8),
             static_cast<std::uint8_t>(source.index)}};
}

} // namespace

Ipv4Address guest_address(Ipv4Address gateway, unsigned position)
{
    return {gateway.value + 1 + position};
}

unsigned port_count(const Ipv4Prefix &gateway)
{
    const auto last = gateway.last().value;
    return last <= gateway.address.value + 1 ? 1 : std::min(last - gateway.address.value - 1, max_ports);
}

MacAddress make_guest_mac(const MacSource &source)
{
    return mac(guest_byte, source);
}

MacAddress make_host_mac(const MacSource &source)
{
    return mac(host_byte, source);
}

} // namespace qemutap
