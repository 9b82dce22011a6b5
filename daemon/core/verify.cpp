// SPDX-License-Identifier: MIT
//
// The comparison of a tap with its promise, one line each.

#include "daemon/core/verify.hpp"

#include "daemon/core/lease_table.hpp"

#include <algorithm>

namespace qemutap {

namespace {

bool has_settings(LinkSettings settings)
{
    if (!settings.ipv6_disabled)
        settings.ipv6_disabled = true; // a link without IPv6 has it disabled
    return settings == tap_settings;
}

bool has_address(const HostState &state, int ifindex, const Ipv4Prefix &address)
{
    const auto addresses = state.addresses(ifindex);
    return std::any_of(addresses.begin(), addresses.end(), [&](const auto &held) { return held.local == address; });
}

} // namespace

std::string broken_promise(const HostState &state, const OpenTap &tap, const PromisedTap &promised)
{
    const auto *link = state.link(tap.ifindex);
    if (!link)
        return "it is gone";
    if (link->name != tap.name)
        return "it was renamed to " + link->name;
    if (own_tag(*link) != promised.tag)
        return "its alias is not the one written";
    if (link->tun_owner != promised.tag.uid)
        return "its owner is not uid " + std::to_string(promised.tag.uid);
    if (link->mac != promised.plan.host_mac)
        return "its MAC is not " + promised.plan.host_mac.text();
    if (link->settings.ipv6_disabled == false)
        return "IPv6 is on there (is /proc/sys hidden? net.ipv6.conf.default.disable_ipv6=1 switches it off)";
    if (!has_settings(link->settings))
        return "its settings are not the ones written";
    if (!has_address(state, tap.ifindex, promised.plan.gateway))
        return "it has no address " + promised.plan.gateway.text();
    if (!link->up || link->group != live_group)
        return "it is not up";
    if (promised.plan.route && !state.has_route(*promised.plan.route, tap.ifindex))
        return "it has no route to " + promised.plan.route->text();
    return {};
}

bool has_intruder(const HostState &state, const OpenTap &tap)
{
    const auto *link = state.link(tap.ifindex);
    return link && link->queues && *link->queues + link->disabled_queues != tap.queues.size();
}

} // namespace qemutap
