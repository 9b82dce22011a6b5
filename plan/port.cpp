// SPDX-License-Identifier: MIT
//
// The bytes of MACs: 52:54:PP:MM:NN:NN. MM is a byte of the machine id, NN:NN the network's index. PP is the address
// rule's byte at port 0 (0 by the standard rule, 1 by runqemu's) and P + 1 at a further port P, so that no port of a
// standard network meets a tap of runqemu's.

#include "plan/port.hpp"

#include <algorithm>

namespace qemutap {

namespace {

constexpr std::uint8_t guest_byte = 0x52;
constexpr std::uint8_t host_byte = 0xfe;
constexpr std::uint8_t reserved_machine_byte = 0x12; // 52:54:00:12:34:xx are QEMU's and runqemu's own

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
