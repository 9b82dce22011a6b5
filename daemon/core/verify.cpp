// SPDX-License-Identifier: MIT
//
// Compares a tap with its promise, one property after the other.

#include "daemon/core/verify.hpp"

#include "common/ipv4.hpp"
#include "contract/profile.hpp"
#include "daemon/core/lease_table.hpp"

#include <algorithm>

namespace qemutap {

namespace {

// Describes the first setting that is not as promised; empty: there is none.
std::string broken_setting(const Link &link, Profile profile)
{
    if (const auto &off = link.settings["disable_ipv6"]; off && *off == 0)
        return "IPv6 is on there (is /proc/sys hidden? net.ipv6.conf.default.disable_ipv6=1 switches it off)";
    for (const auto row : broken_settings(link.settings, profile)) {
        const auto &setting = tap_settings.at(row);
        const auto &found = link.settings.values.at(row);
        if (!is_tolerable(row, link.settings))
            return full_name(setting, link.name) + " is " + (found ? std::to_string(*found) : "unknown") + ", not " +
                   std::to_string(promised_value(setting, profile));
    }
    return {};
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
    if (link->mac != promised.plan.port.host_mac)
        return "its MAC is not " + promised.plan.port.host_mac.text();
    if (auto broken = broken_setting(*link, promised.tag.profile); !broken.empty())
        return broken;
    if (!has_address(state, tap.ifindex, promised.plan.network.gateway))
        return "it has no address " + promised.plan.network.gateway.text();
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
