// SPDX-License-Identifier: MIT
//
// IPv4 addresses and prefixes as values. The address plan, the view of the host and the guest's `ip=` compute with
// them. The text forms are those of inet_pton(3) and of CIDR notation (RFC 4632).

#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qemutap {

struct Ipv4Address {
    std::uint32_t value = 0; // host byte order

    static std::optional<Ipv4Address> parse(std::string_view text);
    std::string text() const;

    friend auto operator<=>(const Ipv4Address &, const Ipv4Address &) = default;
};

// A prefix, or a host's address with the length of its subnet: `address` may have bits set beyond `length`.
struct Ipv4Prefix {
    Ipv4Address address;
    unsigned length = 0; // 0 to 32

    // Reads a text such as "192.168.0.0/16". nullopt: the text is not valid, or it has no length.
    static std::optional<Ipv4Prefix> parse(std::string_view text);
    std::string text() const;

    Ipv4Address mask() const;
    Ipv4Address first() const; // the network address
    Ipv4Address last() const;  // the broadcast address
    bool is_network() const { return address == first(); }
    Ipv4Prefix network() const { return {first(), length}; }
    // True if one of the two prefixes contains the other. Prefixes can't overlap in any other way.
    bool overlaps(const Ipv4Prefix &other) const;

    friend auto operator<=>(const Ipv4Prefix &, const Ipv4Prefix &) = default;
};

} // namespace qemutap
