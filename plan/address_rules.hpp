// SPDX-License-Identifier: MIT
//
// The table of address rules. A rule says how an index becomes a device name and addresses: `standard` is the rule of
// qemu-tapd itself, `runqemu` the one that Yocto's runqemu demands of its taps (openembedded-core, scripts/runqemu and
// scripts/runqemu-ifup). Code asks the row; a new rule is a new row.

#pragma once

#include "common/ipv4.hpp"
#include "contract/profile.hpp"
#include "plan/network.hpp"
#include "plan/pool.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

struct IndexRange {
    unsigned first;
    unsigned size;
};

// A value that a tap setting has by this rule only.
struct SettingOverride {
    std::string_view name;
    int value;
};

struct AddressRule {
    Profile profile;
    std::string_view tag_key;          // of the index in a tag
    std::string_view tag_key_version1; // the same in a tag of version 1
    unsigned highest_index;            // under any settings
    Profile further_taps;              // the rule of a lease's other taps
    bool reservable;                   // reservations and the pool's settings concern it
    std::uint8_t mac_byte;             // the third byte of MACs at port 0
    // Networks are cut from this block and not from the pool. An exclusion of exactly this block keeps other networks
    // out of it and not these.
    std::optional<Ipv4Prefix> own_block;
    // No other device may have this rule's device prefix and a number.
    bool owns_device_prefix;
    std::span<const SettingOverride> settings;

    IndexRange (*indexes)(const Pool &pool);
    Ipv4Prefix (*gateway)(const Pool &pool, unsigned index);
    std::vector<Ipv4Prefix> (*prefixes)(const Pool &pool, unsigned index); // of a network
    std::string (*device_prefix)(const PlanSettings &settings, std::string_view lease);
    // Why no index is free for a lease of `asked` taps.
    std::string (*no_free_index)(const Pool &pool, unsigned asked);
};

inline constexpr std::size_t address_rule_count = 2;

const AddressRule &rule_of(Profile profile);
std::span<const AddressRule, address_rule_count> address_rules();

// One value for each rule.
template <typename T>
class PerRule {
public:
    T &operator[](Profile profile) { return values_.at(static_cast<std::size_t>(profile)); }
    const T &operator[](Profile profile) const { return values_.at(static_cast<std::size_t>(profile)); }

private:
    std::array<T, address_rule_count> values_{};
};

// "1 tap", "2 taps".
std::string taps_in_words(std::size_t count);

} // namespace qemutap
