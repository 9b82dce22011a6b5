// SPDX-License-Identifier: MIT
//
// Reads version 1 of the tag, which daemons before version 2 wrote: `qemu-tap1 key=value ...` in a fixed order with
// single spaces. It has all keys except `attended`, which only attended leases have. The daemon never writes it.

#include "common/mac_address.hpp"
#include "common/number.hpp"
#include "contract/hold.hpp"
#include "contract/profile.hpp"
#include "daemon/core/tag_reader.hpp"
#include "daemon/core/tap_tag.hpp"
#include "plan/address_rules.hpp"

#include <limits>

namespace qemutap {

namespace {

constexpr std::string_view magic = "qemu-tap1";

} // namespace

std::optional<TapTag> decode_tag_version1(std::string_view alias)
{
    TagReader reader{alias};
    TapTag tag;
    reader.expect(magic);
    tag.lease = reader.value("lease");
    tag.position = reader.number<unsigned>("tap", '/');
    reader.expect("/");
    tag.count = reader.take(parse_number<unsigned>(reader.until(' ')));
    for (const auto &rule : address_rules())
        if (reader.is_next(rule.tag_key_version1))
            tag.profile = rule.profile;
    tag.index = reader.number<unsigned>(rule_of(tag.profile).tag_key_version1);
    const auto ifindex = reader.number<unsigned>("ifindex");
    reader.require(ifindex <= std::numeric_limits<int>::max());
    tag.ifindex = static_cast<int>(ifindex);
    tag.uid = reader.number<uid_t>("uid");
    tag.hold = reader.take(parse_hold(reader.value("hold")));
    tag.mac = reader.take(MacAddress::parse(reader.value("mac")));
    tag.queues = reader.number<unsigned>("queues");
    const auto vhost = reader.number<unsigned>("vhost");
    reader.require(vhost <= 1);
    tag.vhost = vhost == 1;
    tag.idle_timeout_seconds = reader.number<std::uint64_t>("idle");
    if (reader.is_next("attended")) {
        tag.attendant = reader.value("attended");
        reader.require(!tag.attendant.empty());
    }
    tag.label = reader.value("label");
    if (!reader.finished() || !is_in_range(tag))
        return std::nullopt;
    return tag;
}

} // namespace qemutap
