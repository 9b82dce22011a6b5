// SPDX-License-Identifier: MIT
//
// Version 2 of the tag is `qemu-tap2 k=value ...` in a fixed order with single spaces. A key is one letter, because an
// alias holds only 255 bytes and networks will need some of them. The text leaves out a field that a lease does not
// have:
//
//     i lease id   t tap's position/count   x index (r: by runqemu's rule)   d ifindex (device)   u uid
//     h hold, f or n   m MAC without colons   q queues   v vhost, 1 or absent   s idle timeout in seconds
//     a attendant   b birth in seconds of CLOCK_BOOTTIME   l label

#include "daemon/core/tap_tag.hpp"

#include "common/label.hpp"
#include "common/mac_address.hpp"
#include "common/number.hpp"
#include "contract/grant.hpp"
#include "contract/request.hpp"
#include "daemon/core/tag_reader.hpp"
#include "plan/address_rules.hpp"

#include <limits>

namespace qemutap {

namespace {

constexpr std::string_view magic = "qemu-tap2";
// dbus-daemon's unique names are shorter. A longer name would not have fitted into the longest tag of version 1.
constexpr std::size_t max_unique_name = 14;
constexpr std::size_t bus_digits = 8;
constexpr std::uint64_t latest_birth = std::numeric_limits<std::uint32_t>::max(); // 136 years after boot

std::optional<Hold> hold_of(std::string_view letter)
{
    for (const auto &rule : hold_rules)
        if (letter == rule.tag_letter)
            return rule.hold;
    return std::nullopt;
}

std::string hex_text(const MacAddress &mac)
{
    auto text = mac.text();
    std::erase(text, ':');
    return text;
}

std::optional<MacAddress> mac_of(std::string_view hex)
{
    std::string text;
    for (std::size_t i = 0; i < hex.size(); i += 2)
        text.append(i == 0 ? "" : ":").append(hex.substr(i, 2));
    return MacAddress::parse(text);
}

// Checks the fields that only some holds have. Version 1 left these rules to the writer of a tag.
bool fits_hold(const TapTag &tag)
{
    const auto &rule = rule_of(tag.hold);
    return (rule.gives_descriptors || !tag.vhost) && (rule.ended_by_service || tag.idle_timeout_seconds == 0);
}

// Reads the fields that only some leases have.
void read_optional_fields(TagReader &reader, TapTag &tag)
{
    if (reader.is_next("v")) {
        reader.require(reader.value("v") == "1");
        tag.vhost = true;
    }
    if (reader.is_next("s")) {
        tag.idle_timeout_seconds = reader.number<std::uint64_t>("s");
        reader.require(tag.idle_timeout_seconds != 0);
    }
    if (reader.is_next("a")) {
        tag.attendant = reader.value("a");
        reader.require(!tag.attendant.empty());
    }
    if (reader.is_next("b")) {
        tag.born_seconds = reader.number<std::uint64_t>("b");
        reader.require(*tag.born_seconds <= latest_birth);
    }
    if (reader.is_next("l")) {
        tag.label = reader.value("l");
        reader.require(!tag.label.empty());
    }
}

std::optional<TapTag> decode_version2(std::string_view alias)
{
    TagReader reader{alias};
    TapTag tag;
    reader.expect(magic);
    tag.lease = reader.value("i");
    tag.position = reader.number<unsigned>("t", '/');
    reader.expect("/");
    tag.count = reader.take(parse_number<unsigned>(reader.until(' ')));
    for (const auto &rule : address_rules())
        if (reader.is_next(rule.tag_key))
            tag.profile = rule.profile;
    tag.index = reader.number<unsigned>(rule_of(tag.profile).tag_key);
    const auto ifindex = reader.number<unsigned>("d");
    reader.require(ifindex <= std::numeric_limits<int>::max());
    tag.ifindex = static_cast<int>(ifindex);
    tag.uid = reader.number<uid_t>("u");
    tag.hold = reader.take(hold_of(reader.value("h")));
    tag.mac = reader.take(mac_of(reader.value("m")));
    tag.queues = reader.number<unsigned>("q");
    read_optional_fields(reader, tag);
    if (!reader.finished() || !is_in_range(tag) || !fits_hold(tag))
        return std::nullopt;
    return tag;
}

} // namespace

bool is_in_range(const TapTag &tag)
{
    const auto &rule = rule_of(tag.profile);
    return is_lease_id(tag.lease) && tag.position < tag.count && tag.count <= max_count &&
           tag.index <= rule.highest_index && (tag.position == 0 || rule.further_taps == tag.profile) &&
           tag.ifindex > 0 && tag.queues >= 1 && tag.queues <= max_queues &&
           tag.idle_timeout_seconds <= max_idle_timeout_seconds && (tag.label.empty() || is_label(tag.label)) &&
           (tag.attendant.empty() || (rule_of(tag.hold).ended_by_service && is_attendant(tag.attendant)));
}

// D-Bus Specification, "Valid Names": a unique name is a colon, then letters, digits and . _ -
bool is_attendant(std::string_view text)
{
    const auto at = text.find('@');
    if (at == std::string_view::npos || at < 2 || at > max_unique_name || text.front() != ':')
        return false;
    const auto name = text.substr(1, at - 1);
    const auto bus = text.substr(at + 1);
    return name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               std::string_view::npos &&
           bus.size() == bus_digits && bus.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string encode(const TapTag &tag)
{
    std::string text{magic};
    const auto put = [&](std::string_view key, std::string_view value) {
        text.append(" ").append(key).append("=").append(value);
    };
    put("i", tag.lease);
    put("t", std::to_string(tag.position) + "/" + std::to_string(tag.count));
    put(rule_of(tag.profile).tag_key, std::to_string(tag.index));
    put("d", std::to_string(tag.ifindex));
    put("u", std::to_string(tag.uid));
    put("h", rule_of(tag.hold).tag_letter);
    put("m", hex_text(tag.mac));
    put("q", std::to_string(tag.queues));
    if (tag.vhost)
        put("v", "1");
    if (tag.idle_timeout_seconds != 0)
        put("s", std::to_string(tag.idle_timeout_seconds));
    if (!tag.attendant.empty())
        put("a", tag.attendant);
    if (tag.born_seconds)
        put("b", std::to_string(*tag.born_seconds));
    if (!tag.label.empty())
        put("l", tag.label);
    return text;
}

std::optional<TapTag> decode_tag(std::string_view alias)
{
    return alias.starts_with(magic) ? decode_version2(alias) : decode_tag_version1(alias);
}

} // namespace qemutap
