// SPDX-License-Identifier: MIT
//
// Reads whole decimal numbers from outside text. A sign, a space, a leading zero or trailing text makes the text
// invalid, so every number has exactly one spelling.

#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <type_traits>

namespace qemutap {

template <typename Number>
std::optional<Number> parse_number(std::string_view text)
{
    static_assert(std::is_unsigned_v<Number>);
    Number number{};
    const auto *end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stop != end || (text.size() > 1 && text.front() == '0'))
        return std::nullopt;
    return number;
}

} // namespace qemutap
