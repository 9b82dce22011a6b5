// SPDX-License-Identifier: MIT
//
// IPv4 addresses and prefixes as values. The address plan, the view of the host and the guest's `ip=` all
// compute with them; text forms follow inet_pton(3) and CIDR notation (RFC 4632).

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

// `address` may have bits beyond `length`: a host's address within its subnet is such a prefix too.
struct Ipv4Prefix {
    Ipv4Address address;
    unsigned length = 0; // 0 to 32

    // "192.168.0.0/16". Without a length: nullopt.
    static std::optional<Ipv4Prefix> parse(std::string_view text);
    std::string text() const;

    Ipv4Address mask() const;
    Ipv4Address first() const; // the network address
    Ipv4Address last() const;  // the broadcast address
    bool is_network() const { return address == first(); }
    Ipv4Prefix network() const { return {first(), length}; }
    // True where one of the two holds the other: prefixes can't overlap in any other way.
    bool overlaps(const Ipv4Prefix &other) const;

    friend auto operator<=>(const Ipv4Prefix &, const Ipv4Prefix &) = default;
};

} // namespace qemutap
