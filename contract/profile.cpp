// SPDX-License-Identifier: MIT
//
// Converts address rules to words and back.

#include "contract/profile.hpp"

namespace qemutap {

std::string_view text_of(Profile profile)
{
    return profile == Profile::standard ? "standard" : "runqemu";
}

std::optional<Profile> parse_profile(std::string_view text)
{
    for (const auto profile : {Profile::standard, Profile::runqemu})
        if (text == text_of(profile))
            return profile;
    return std::nullopt;
}

} // namespace qemutap
