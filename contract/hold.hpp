// SPDX-License-Identifier: MIT
//
// The ways to hold a lease: by the descriptors of its taps, or by the names of its devices.

#pragma once

#include <optional>
#include <string_view>

namespace qemutap {

enum class Hold {
    fd,   // the lease ends when the last descriptor is closed
    name, // the lease ends when it is released
};

std::string_view text_of(Hold hold);
std::optional<Hold> parse_hold(std::string_view text);

} // namespace qemutap
