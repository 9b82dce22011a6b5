// SPDX-License-Identifier: MIT
//
// Escapes bytes so that no text can control a terminal or forge a line of the log.

#include "common/quote.hpp"

#include <cstddef>

namespace qemutap {

namespace {

constexpr std::size_t shown_bytes = 80;
constexpr std::string_view hex_digits = "0123456789abcdef";

void append_in_hex(std::string &line, unsigned char byte)
{
    line += "\\x";
    line += hex_digits[byte >> 4];
    line += hex_digits[byte & 15];
}

} // namespace

std::string quote(std::string_view text)
{
    std::string line = "\"";
    for (const char c : text.substr(0, shown_bytes)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\')
            line += c;
        else
            append_in_hex(line, byte);
    }
    line += '"';
    if (text.size() > shown_bytes)
        line += "...";
    return line;
}

std::string one_line(std::string_view text)
{
    std::string line;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x80)
            append_in_hex(line, byte);
        else
            line += byte < 0x20 || byte == 0x7f ? ' ' : c;
    }
    return line;
}

} // namespace qemutap
