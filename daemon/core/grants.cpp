// SPDX-License-Identifier: MIT
//
// Builds each description when a caller asks and stores none, so that it shows the kernel's state of that moment.

#include "daemon/core/grants.hpp"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

namespace qemutap {

LeaseGrant grant_of(const AddressPlan &plan, const LeaseTable &table, const HostState &state, const std::string &id,
                    const Lease &lease)
{
    const auto &common = table.tag(lease);
    LeaseGrant grant{.lease = id,
                     .label = common.label,
                     .uid = common.uid,
                     .hold = common.hold,
                     .idle_timeout_seconds = common.idle_timeout_seconds,
                     .attended = !common.attendant.empty(),
                     .taps = {},
                     .born_seconds = common.born_seconds};
    for (const auto &[position, ifindex] : lease.taps) {
        const auto &held = table.tap(ifindex);
        const auto &tag = held.tag;
        TapGrant tap{.name = held.name,
                     .index = tag.index,
                     .gateway = {},
                     .guest = {},
                     .prefix_length = 0,
                     .mac = tag.mac,
                     .queues = tag.queues,
                     .vhost = tag.vhost};
        const auto addresses = state.addresses(ifindex);
        const auto planned = plan.gateway(tag.profile, tag.index);
        auto own = std::find_if(addresses.begin(), addresses.end(),
                                [&](const HostAddress &address) { return address.local == planned; });
        if (own == addresses.end())
            own = addresses.begin(); // the tap was given under other settings
        if (own != addresses.end() && own->local.length != 0) {
            tap.gateway = own->local.address;
            tap.guest = guest_address(tap.gateway);
            tap.prefix_length = own->local.length;
        }
        grant.taps.push_back(std::move(tap));
    }
    return grant;
}

std::vector<LeaseGrant> grants_of(const AddressPlan &plan, const LeaseTable &table, const HostState &state,
                                  std::optional<uid_t> uid)
{
    // Two leases can have the same index: their address rules differ, or one was given under other settings.
    std::vector<std::tuple<unsigned, std::string_view, const Lease *>> wanted;
    for (const auto &[id, lease] : table.leases())
        if (const auto &tag = table.tag(lease); !uid || tag.uid == *uid)
            wanted.emplace_back(tag.index, id, &lease);
    std::sort(wanted.begin(), wanted.end());
    std::vector<LeaseGrant> grants;
    grants.reserve(wanted.size());
    for (const auto &[index, id, lease] : wanted)
        grants.push_back(grant_of(plan, table, state, std::string{id}, *lease));
    return grants;
}

} // namespace qemutap
