// SPDX-License-Identifier: MIT
//
// What is read is taken, or refused in the one way there is: as an invalid argument, in words that a log can hold.

#pragma once

#include "common/error.hpp"
#include "tests/faults/fuzz/require.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

namespace qemutap {

// nullopt: refused.
template <typename Call>
auto accepted(Call call) -> std::optional<decltype(call())>
{
    try {
        return call();
    } catch (const TapError &error) {
        require(error.code() == ErrorCode::invalid_argument, "what is wrong is an invalid argument");
        const std::string_view text = error.what();
        require(!text.empty() && text.size() < 2000, "an error says why, and not endlessly");
        require(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; }),
                "an error is a line of plain text");
    }
    return std::nullopt;
}

} // namespace qemutap
