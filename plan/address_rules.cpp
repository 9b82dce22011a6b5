// SPDX-License-Identifier: MIT
//
// The table's rows, one for each value of Profile in the order of the values.

#include "plan/address_rules.hpp"

#include "plan/port.hpp"

namespace qemutap {

namespace {

// The number of address pairs in runqemu's network. A pair is the host's address and the guest's, each with a prefix of
// 32 bits.
constexpr unsigned runqemu_pairs = 127;

Ipv4Prefix runqemu_gateway(const Pool &, unsigned index)
{
    return {.address = {runqemu_network.address.value + 2 * index + 1}, .length = 32};
}

// runqemu takes a prefix (OE_TAP_NAME) and looks for a device with that prefix and a number, so the prefix ends in a
// letter. The prefix belongs to one lease, because runqemu takes any tap with the prefix. With a number of three digits
// the name fits IFNAMSIZ.
std::string runqemu_device_prefix(const PlanSettings &, std::string_view lease)
{
    constexpr std::size_t digits_of_lease = 8;
    return "rq" + std::string{lease.substr(0, digits_of_lease)} + "t";
}

// runqemu's guests treat all of 192.168.7.0/24 as their own network, but each guest is alone on its tap. They reach
// each other only if the host answers ARP requests for the others (scripts/runqemu-ifup). The kernel answers only if it
// forwards between the taps.
constexpr std::array runqemu_settings{SettingOverride{.name = "proxy_arp", .value = 1}};

constexpr std::array<AddressRule, address_rule_count> rules{{
    {
        .profile = Profile::standard,
        .tag_key = "x",
        .tag_key_version1 = "index",
        .highest_index = highest_index,
        .further_taps = Profile::standard,
        .reservable = true,
        .mac_byte = 0,
        .own_block = std::nullopt,
        .owns_device_prefix = false,
        .settings = {},
        .indexes = [](const Pool &pool) { return IndexRange{.first = pool.first_index(), .size = pool.size()}; },
        .gateway = [](const Pool &pool, unsigned index) { return pool.gateway(index); },
        .prefixes = [](const Pool &pool, unsigned index) { return std::vector{pool.subnet(index)}; },
        .device_prefix = [](const PlanSettings &settings, std::string_view) { return settings.device_prefix; },
        .no_free_index =
            [](const Pool &pool, unsigned asked) {
                return "no free subnet for " + taps_in_words(asked) + " in pool " + pool.block().text() + " (/" +
                       std::to_string(pool.prefix_length()) + ", " + pool.device_name(pool.first_index()) + " to " +
                       pool.device_name(pool.last_index()) + ")";
            },
    },
    {
        .profile = Profile::runqemu,
        .tag_key = "r",
        .tag_key_version1 = "runqemu",
        .highest_index = runqemu_pairs - 1,
        .further_taps = Profile::standard,
        .reservable = false,
        .mac_byte = 1,
        .own_block = runqemu_network,
        .owns_device_prefix = true,
        .settings = runqemu_settings,
        .indexes = [](const Pool &) { return IndexRange{.first = 0, .size = runqemu_pairs}; },
        .gateway = runqemu_gateway,
        .prefixes =
            [](const Pool &pool, unsigned index) {
                const auto gateway = runqemu_gateway(pool, index);
                return std::vector<Ipv4Prefix>{gateway, {.address = guest_address(gateway.address), .length = 32}};
            },
        .device_prefix = runqemu_device_prefix,
        .no_free_index =
            [](const Pool &, unsigned) {
                return "no free pair of addresses for a tap by runqemu's rule: none of the " +
                       std::to_string(runqemu_pairs) + " in " + runqemu_network.text() + " may be had";
            },
    },
}};

} // namespace

const AddressRule &rule_of(Profile profile)
{
    return rules.at(static_cast<std::size_t>(profile));
}

std::span<const AddressRule, address_rule_count> address_rules()
{
    return rules;
}

std::string taps_in_words(std::size_t count)
{
    return std::to_string(count) + (count == 1 ? " tap" : " taps");
}

} // namespace qemutap
