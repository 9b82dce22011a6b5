// SPDX-License-Identifier: MIT
//
// Stores links, addresses and routes, and finds overlaps among all their prefixes.

#include "daemon/core/host_state.hpp"

#include <algorithm>
#include <utility>

namespace qemutap {

namespace {

constexpr unsigned longest_default = 1;
constexpr std::uint32_t local_table = 255; // RT_TABLE_LOCAL: the kernel adds routes to it with each address

} // namespace

void PrefixSet::add(const Ipv4Prefix &prefix)
{
    if (++counts_[prefix.network()] == 1)
        ++per_length_[prefix.length];
}

void PrefixSet::remove(const Ipv4Prefix &prefix)
{
    const auto found = counts_.find(prefix.network());
    if (found == counts_.end() || --found->second > 0)
        return;
    counts_.erase(found);
    --per_length_[prefix.length];
}

unsigned PrefixSet::count(const Ipv4Prefix &network) const
{
    const auto found = counts_.find(network);
    return found == counts_.end() ? 0 : found->second;
}

bool PrefixSet::overlaps_without(const PrefixSet &left_out, const Ipv4Prefix &prefix) const
{
    // Look at the prefixes that begin inside `prefix`. A prefix that begins at the same first address may be broader,
    // and it overlaps too.
    for (auto inside = counts_.lower_bound({prefix.first(), 0});
         inside != counts_.end() && inside->first.address <= prefix.last(); ++inside)
        if (inside->second > left_out.count(inside->first))
            return true;
    // Look at the prefixes that contain `prefix`: at most one candidate of each length in use.
    for (unsigned length = 0; length < prefix.length; ++length) {
        const auto around = Ipv4Prefix{prefix.address, length}.network();
        if (per_length_[length] != 0 && count(around) > left_out.count(around))
            return true;
    }
    return false;
}

void HostState::link_changed(Link link)
{
    const auto ifindex = link.ifindex;
    const auto known = links_.find(ifindex);
    if (known != links_.end()) {
        if (known->second == link)
            return;
        forget_names(known->second);
    }
    ++names_[link.name];
    for (const auto &name : link.alt_names)
        ++names_[name];
    if (link.is_tap && !link.up)
        down_taps_.insert(ifindex);
    else
        down_taps_.erase(ifindex);
    links_.insert_or_assign(ifindex, std::move(link));
    changed_.insert(ifindex);
}

void HostState::link_gone(int ifindex)
{
    for (const auto &address : addresses(ifindex))
        address_gone(address);
    if (const auto through = routes_by_oif_.find(ifindex); through != routes_by_oif_.end())
        for (const auto &route : std::set<HostRoute>{through->second})
            route_gone(route);
    const auto known = links_.find(ifindex);
    if (known == links_.end())
        return;
    forget_names(known->second);
    links_.erase(known);
    down_taps_.erase(ifindex);
    changed_.insert(ifindex);
}

void HostState::forget_names(const Link &link)
{
    const auto forget = [&](const std::string &name) {
        if (const auto found = names_.find(name); found != names_.end() && --found->second == 0)
            names_.erase(found);
    };
    forget(link.name);
    std::for_each(link.alt_names.begin(), link.alt_names.end(), forget);
}

void HostState::address_added(const HostAddress &address)
{
    if (!addresses_[address.ifindex].insert(address).second)
        return;
    prefixes_.add(address.local);
    prefixes_.add(address.peer);
}

void HostState::address_gone(const HostAddress &address)
{
    const auto of_link = addresses_.find(address.ifindex);
    if (of_link == addresses_.end() || of_link->second.erase(address) == 0)
        return;
    if (of_link->second.empty())
        addresses_.erase(of_link);
    prefixes_.remove(address.local);
    prefixes_.remove(address.peer);
}

void HostState::route_added(const HostRoute &route)
{
    if (route.destination.length <= longest_default || !routes_.insert(route).second)
        return;
    routes_by_oif_[route.oif].insert(route);
    prefixes_.add(route.destination);
}

void HostState::route_gone(const HostRoute &route)
{
    if (routes_.erase(route) == 0)
        return;
    const auto through = routes_by_oif_.find(route.oif);
    through->second.erase(route);
    if (through->second.empty())
        routes_by_oif_.erase(through);
    prefixes_.remove(route.destination);
}

void HostState::drop_routes()
{
    while (!routes_.empty())
        route_gone(HostRoute{*routes_.begin()});
}

bool HostState::may_route_through(int ifindex) const
{
    return routes_by_oif_.count(ifindex) != 0 || routes_by_oif_.count(0) != 0;
}

bool HostState::numbered_name_taken(std::string_view prefix) const
{
    return std::any_of(names_.begin(), names_.end(), [&](const auto &entry) {
        const std::string_view name{entry.first};
        return name.size() > prefix.size() && name.substr(0, prefix.size()) == prefix &&
               name.find_first_not_of("0123456789", prefix.size()) == std::string_view::npos;
    });
}

bool HostState::has_route(const Ipv4Prefix &destination, int oif) const
{
    const auto through = routes_by_oif_.find(oif);
    return through != routes_by_oif_.end() &&
           std::any_of(through->second.begin(), through->second.end(),
                       [&](const HostRoute &route) { return route.destination == destination; });
}

const Link *HostState::link(int ifindex) const
{
    const auto found = links_.find(ifindex);
    return found == links_.end() ? nullptr : &found->second;
}

std::vector<HostAddress> HostState::addresses(int ifindex) const
{
    const auto found = addresses_.find(ifindex);
    if (found == addresses_.end())
        return {};
    return {found->second.begin(), found->second.end()};
}

bool HostState::occupied_by_others(int ifindex, const Ipv4Prefix &prefix) const
{
    PrefixSet own;
    for (const auto &address : addresses(ifindex)) {
        own.add(address.local);
        own.add(address.peer);
    }
    if (const auto through = routes_by_oif_.find(ifindex); through != routes_by_oif_.end())
        for (const auto &route : through->second)
            own.add(route.destination);
    return prefixes_.overlaps_without(own, prefix);
}

std::vector<std::string> HostState::occupants(const Ipv4Prefix &prefix, std::size_t most) const
{
    const auto name_of = [&](int ifindex) {
        const auto *known = link(ifindex);
        return known ? known->name : std::to_string(ifindex);
    };
    std::vector<std::pair<unsigned, std::string>> found;
    for (const auto &[ifindex, addresses] : addresses_)
        for (const auto &address : addresses)
            if (address.local.overlaps(prefix))
                found.emplace_back(address.local.length, "address " + address.local.text() + " on " + name_of(ifindex));
    for (const auto &route : routes_)
        if (route.destination.overlaps(prefix) && route.table != local_table)
            found.emplace_back(route.destination.length, "route " + route.destination.text() +
                                                             (route.oif ? " through " + name_of(route.oif) : "") +
                                                             " in table " + std::to_string(route.table));
    std::stable_sort(found.begin(), found.end(), [](const auto &a, const auto &b) { return a.first < b.first; });
    std::vector<std::string> words;
    for (const auto &[length, text] : found)
        if (words.size() < most)
            words.push_back(text);
    return words;
}

void HostState::replace_with(HostState fresh)
{
    for (const auto &[ifindex, link] : links_)
        fresh.changed_.insert(ifindex);
    fresh.changed_.merge(changed_);
    *this = std::move(fresh);
}

} // namespace qemutap
