// SPDX-License-Identifier: MIT
//
// The table of address rules. A rule derives a device name and addresses from an index. `standard` is qemu-tapd's own
// rule. `runqemu` is the rule that Yocto's runqemu requires of its taps (openembedded-core, scripts/runqemu and
// scripts/runqemu-ifup). Code reads the row of a rule; a new rule is a new row.

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

// A tap setting's value for this rule only, instead of the value in tap_settings.
struct SettingOverride {
    std::string_view name;
    int value;
};

struct AddressRule {
    Profile profile;
    std::string_view tag_key;          // the key of the index in tags
    std::string_view tag_key_version1; // the key of the index in tags of version 1
    unsigned highest_index;            // the greatest index that any settings allow
    Profile further_taps;              // the rule for the lease's taps after the first
    bool reservable;                   // reservations and the pool's settings apply to this rule
    std::uint8_t mac_byte;             // the third byte of the MACs at port 0
    // This rule's networks are cut from this block instead of the pool. An exclusion of exactly this block keeps other
    // networks out of the block, but allows this rule's.
    std::optional<Ipv4Prefix> own_block;
    // True: no other device may have a name of this rule's device prefix and a number.
    bool owns_device_prefix;
    std::span<const SettingOverride> settings;

    IndexRange (*indexes)(const Pool &pool);
    Ipv4Prefix (*gateway)(const Pool &pool, unsigned index);
    std::vector<Ipv4Prefix> (*prefixes)(const Pool &pool, unsigned index); // the prefixes that a network takes
    std::string (*device_prefix)(const PlanSettings &settings, std::string_view lease);
    // The text that says why no index is free for a lease of `asked` taps.
    std::string (*no_free_index)(const Pool &pool, unsigned asked);
};

inline constexpr std::size_t address_rule_count = 2;

const AddressRule &rule_of(Profile profile);
std::span<const AddressRule, address_rule_count> address_rules();

// Holds one value for each rule.
template <typename T>
class PerRule {
public:
    T &operator[](Profile profile) { return values_.at(static_cast<std::size_t>(profile)); }
    const T &operator[](Profile profile) const { return values_.at(static_cast<std::size_t>(profile)); }

private:
    std::array<T, address_rule_count> values_{};
};

// Returns "1 tap", "2 taps" and so on.
std::string taps_in_words(std::size_t count);

} // namespace qemutap
