// SPDX-License-Identifier: MIT
//
// Compares a link's settings with the table.

#include "plan/tap_settings.hpp"

#include "contract/profile.hpp"

#include <algorithm>

namespace qemutap {

std::string full_name(const TapSetting &setting, const std::string &device)
{
    if (setting.kind == SettingKind::multicast)
        return "the flag MULTICAST of " + device;
    const std::string family = setting.kind == SettingKind::ipv4 ? "ipv4" : "ipv6";
    return "net." + family + ".conf." + device + "." + std::string{setting.name};
}

int promised_value(const TapSetting &setting, Profile rule)
{
    const auto &overrides = rule_of(rule).settings;
    const auto found = std::ranges::find(overrides, setting.name, &SettingOverride::name);
    return found == overrides.end() ? setting.value : found->value;
}

LinkSettings promised_settings(Profile rule)
{
    LinkSettings settings;
    for (std::size_t row = 0; row < tap_settings.size(); ++row)
        settings.values.at(row) = promised_value(tap_settings.at(row), rule);
    return settings;
}

std::vector<std::size_t> broken_settings(const LinkSettings &settings, Profile rule)
{
    std::vector<std::size_t> broken;
    for (std::size_t row = 0; row < tap_settings.size(); ++row) {
        const auto &setting = tap_settings.at(row);
        const auto &found = settings.values.at(row);
        const bool is_of_ipv6 = setting.kind == SettingKind::ipv6 || setting.kind == SettingKind::addr_gen_mode;
        if (found ? *found != promised_value(setting, rule) : !is_of_ipv6)
            broken.push_back(row);
    }
    return broken;
}

bool is_tolerable(std::size_t row, const LinkSettings &settings)
{
    return tap_settings.at(row).optional_without_ipv6 && settings["disable_ipv6"] == 1;
}

} // namespace qemutap
