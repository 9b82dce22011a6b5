// SPDX-License-Identifier: MIT
//
// Quoting for people.

#include "common/quote.hpp"

#include <cstddef>

namespace qemutap {

namespace {

constexpr std::size_t shown_bytes = 80;
constexpr std::string_view hex_digits = "0123456789abcdef";

} // namespace

std::string quote(std::string_view text)
{
    std::string line = "\"";
    for (const char c : text.substr(0, shown_bytes)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
            line += c;
            continue;
        }
        line += "\\x";
        line += hex_digits[byte >> 4];
        line += hex_digits[byte & 15];
    }
    line += '"';
    if (text.size() > shown_bytes)
        line += "...";
    return line;
}

} // namespace qemutap
