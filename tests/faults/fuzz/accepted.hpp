// SPDX-License-Identifier: MIT
//
// A reader accepts its input, or refuses it in one way only: as an invalid argument, in words that a log can hold.

#pragma once

#include "common/error.hpp"
#include "tests/faults/fuzz/require.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

namespace qemutap {

// Returns nullopt if the input is refused.
template <typename Call>
auto accepted(Call call) -> std::optional<decltype(call())>
{
    try {
        return call();
    } catch (const TapError &error) {
        require(error.code() == ErrorCode::invalid_argument, "wrong input is refused as an invalid argument");
        const std::string_view text = error.what();
        require(!text.empty() && text.size() < 2000, "an error gives a reason of limited length");
        require(std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; }),
                "an error is one line of printable ASCII");
    }
    return std::nullopt;
}

} // namespace qemutap
