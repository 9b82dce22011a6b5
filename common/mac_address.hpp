// SPDX-License-Identifier: MIT
//
// A 48-bit Ethernet address (IEEE 802) as a value.

#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qemutap {

struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};

    // Reads six pairs of lower-case hex digits with colons between them, which is the only form that text() writes.
    // nullopt: the text has another form.
    static std::optional<MacAddress> parse(std::string_view text);
    std::string text() const;

    friend auto operator<=>(const MacAddress &, const MacAddress &) = default;
};

} // namespace qemutap
