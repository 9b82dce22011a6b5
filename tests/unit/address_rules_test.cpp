// SPDX-License-Identifier: MIT
//
// The table of address rules: each row stands at its place, and rows that tags, devices or addresses could confuse do
// not exist.

#include "plan/address_rules.hpp"

#include "plan/address_plan.hpp"
#include "plan/tap_settings.hpp"
#include "tests/catch.hpp"

#include <set>
#include <string>

using namespace qemutap;

TEST_CASE("each address rule has the row of its profile, and keys of its own in tags")
{
    std::set<std::string_view> keys;
    std::set<std::string_view> keys_version1;
    std::set<unsigned> mac_bytes;
    for (const auto &rule : address_rules()) {
        CAPTURE(text_of(rule.profile));
        CHECK(&rule_of(rule.profile) == &rule);
        CHECK(rule.tag_key.size() == 1);
        keys.insert(rule.tag_key);
        keys_version1.insert(rule.tag_key_version1);
        mac_bytes.insert(rule.mac_byte);
    }
    CHECK(keys.size() == address_rule_count);
    CHECK(keys_version1.size() == address_rule_count);
    CHECK(mac_bytes.size() == address_rule_count);
}

TEST_CASE("no index that a plan gives is above its rule's highest")
{
    PlanSettings settings;
    settings.pool = {.address = {0x0a000000}, .length = 8};
    settings.prefix_length = 30;
    const AddressPlan plan{settings, 0};
    for (const auto &rule : address_rules()) {
        const auto [first, size] = plan.indexes(rule.profile);
        CHECK(first + size - 1 == rule.highest_index);
    }
}

TEST_CASE("the further taps of a lease have the standard rule")
{
    for (const auto &rule : address_rules())
        CHECK(rule.further_taps == Profile::standard);
}

TEST_CASE("a rule changes only settings that the table of tap settings has")
{
    for (const auto &rule : address_rules())
        for (const auto &changed : rule.settings) {
            const auto &setting = tap_settings.at(setting_row(changed.name));
            CHECK(promised_value(setting, rule.profile) == changed.value);
            CHECK(setting.value != changed.value);
        }
    CHECK(promised_settings(Profile::runqemu)["proxy_arp"] == 1);
    CHECK(promised_settings(Profile::standard)["proxy_arp"] == 0);
}

TEST_CASE("a full pool is described in the words of its rule")
{
    const Pool pool{PlanSettings{}};
    CHECK(rule_of(Profile::standard).no_free_index(pool, 2) ==
          "no free subnet for 2 taps in pool 192.168.0.0/16 (/24, tap7 to tap254)");
    CHECK(rule_of(Profile::runqemu).no_free_index(pool, 2) ==
          "no free pair of addresses for a tap by runqemu's rule: none of the 127 in 192.168.7.0/24 may be had");
}
