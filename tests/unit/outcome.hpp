// SPDX-License-Identifier: MIT
//
// The error of a refused call, for tests that check an error's code and text and not only its type.

#pragma once

#include "common/error.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

namespace qemutap {

// The TapError that `call` throws. If it throws none, the exception thrown here fails the test.
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

// Catch2 v2 and v3 have matchers for this under different names.
inline bool contains(std::string_view text, std::string_view part)
{
    return text.find(part) != std::string_view::npos;
}

} // namespace qemutap
