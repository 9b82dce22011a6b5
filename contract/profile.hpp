// SPDX-License-Identifier: MIT
//
// The address rules. A rule gives a lease's first tap its name and addresses. All other taps follow the standard rule.

#pragma once

#include <optional>
#include <string_view>

namespace qemutap {

enum class Profile { standard, runqemu };

std::string_view text_of(Profile profile);
std::optional<Profile> parse_profile(std::string_view text);

} // namespace qemutap
