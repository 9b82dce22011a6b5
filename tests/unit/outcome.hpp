// SPDX-License-Identifier: MIT
//
// What a refused call said, for tests that look at an error's code and text and not only at its type.

#pragma once

#include "common/error.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

namespace qemutap {

// The TapError that `call` throws; where it throws none the test fails by the exception from here.
template <typename Call>
TapError tap_error_of(Call call)
{
    try {
        call();
    } catch (const TapError &error) {
        return error;
    }
    throw std::logic_error{"no TapError was thrown"};
}

// Catch2 v2 and v3 have no matcher of one name for this.
inline bool contains(std::string_view text, std::string_view part)
{
    return text.find(part) != std::string_view::npos;
}

} // namespace qemutap
