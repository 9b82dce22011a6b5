// SPDX-License-Identifier: MIT
//
// Whole decimal numbers from text that came from outside: no sign, no space, no leading zero, nothing
// behind them, so that every number has exactly one spelling.

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
