// SPDX-License-Identifier: MIT
//
// Reads and writes the text form of Ethernet addresses.

#include "common/mac_address.hpp"

#include <string>

namespace qemutap {

namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

} // namespace

std::optional<MacAddress> MacAddress::parse(std::string_view text)
{
    MacAddress mac;
    if (text.size() != mac.bytes.size() * 3 - 1)
        return std::nullopt;
    for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
        const auto high = hex_digits.find(text[3 * i]);
        const auto low = hex_digits.find(text[3 * i + 1]);
        const bool separated = i + 1 == mac.bytes.size() || text[3 * i + 2] == ':';
        if (high == std::string_view::npos || low == std::string_view::npos || !separated)
            return std::nullopt;
        mac.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return mac;
}

std::string MacAddress::text() const
{
    std::string text;
    for (const auto byte : bytes) {
        if (!text.empty())
            text += ':';
        text += hex_digits[byte >> 4];
        text += hex_digits[byte & 15];
    }
    return text;
}

} // namespace qemutap
