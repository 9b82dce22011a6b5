// SPDX-License-Identifier: MIT
//
// Implements the text forms and the arithmetic of IPv4 addresses and prefixes.

#include "common/ipv4.hpp"

#include "common/number.hpp"

#include <arpa/inet.h>

#include <algorithm>

namespace qemutap {

std::optional<Ipv4Address> Ipv4Address::parse(std::string_view text)
{
    in_addr parsed{};
    if (text.find('\0') != std::string_view::npos || inet_pton(AF_INET, std::string{text}.c_str(), &parsed) != 1)
        return std::nullopt;
    return Ipv4Address{ntohl(parsed.s_addr)};
}

std::string Ipv4Address::text() const
{
    // Not inet_ntop(3): it uses sprintf(3) and takes five times as long, and lists of leases are mostly addresses.
    std::string text;
    for (const unsigned shift : {24U, 16U, 8U, 0U})
        text += std::to_string((value >> shift) & 0xff) + (shift == 0 ? "" : ".");
    return text;
}

std::optional<Ipv4Prefix> Ipv4Prefix::parse(std::string_view text)
{
    const auto slash = text.find('/');
    if (slash == std::string_view::npos)
        return std::nullopt;
    const auto address = Ipv4Address::parse(text.substr(0, slash));
    const auto length = parse_number<unsigned>(text.substr(slash + 1));
    if (!address || !length || *length > 32)
        return std::nullopt;
    return Ipv4Prefix{*address, *length};
}

std::string Ipv4Prefix::text() const
{
    return address.text() + "/" + std::to_string(length);
}

Ipv4Address Ipv4Prefix::mask() const
{
    return {length == 0 ? 0 : ~std::uint32_t{0} << (32 - length)};
}

Ipv4Address Ipv4Prefix::first() const
{
    return {address.value & mask().value};
}

Ipv4Address Ipv4Prefix::last() const
{
    return {address.value | ~mask().value};
}

bool Ipv4Prefix::overlaps(const Ipv4Prefix &other) const
{
    const Ipv4Prefix broader{address, std::min(length, other.length)};
    return ((address.value ^ other.address.value) & broader.mask().value) == 0;
}

} // namespace qemutap
