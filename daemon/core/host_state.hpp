// SPDX-License-Identifier: MIT
//
// What the host's network looks like, as far as decisions need it: links with their names and aliases, IPv4
// addresses, IPv4 routes of all tables. Fed with changes by the edge that hears the kernel; answers which
// names and prefixes are taken in time that does not grow with what is present.

#pragma once

#include "common/ipv4.hpp"
#include "common/mac_address.hpp"
#include "plan/tap_settings.hpp"

#include <sys/types.h>

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace qemutap {

struct Link {
    int ifindex = 0;
    std::string name;
    std::vector<std::string> alt_names;
    std::string alias;
    std::uint32_t group = 0;
    MacAddress mac;
    bool up = false;      // IFF_UP
    bool carrier = false; // IFF_LOWER_UP: somebody has a queue open
    LinkSettings settings;

    // Of kind tun and type tap; what follows is of such links only.
    bool is_tap = false;
    std::optional<uid_t> tun_owner;
    bool persistent = false;
    // Only of multi-queue taps, where the kernel counts them.
    std::optional<unsigned> queues;
    unsigned disabled_queues = 0;

    friend bool operator==(const Link &, const Link &) = default;
};

struct HostAddress {
    int ifindex = 0;
    Ipv4Prefix local; // the address itself, with the length of its subnet
    Ipv4Prefix peer;  // of a point-to-point link; else the same as local

    friend auto operator<=>(const HostAddress &, const HostAddress &) = default;
};

struct HostRoute {
    std::uint32_t table = 0;
    Ipv4Prefix destination;
    int oif = 0; // 0: none, or several
    std::uint8_t tos = 0;
    std::uint32_t priority = 0;
    std::uint8_t type = 0;
    Ipv4Address via;

    friend auto operator<=>(const HostRoute &, const HostRoute &) = default;
};

// A multiset of prefixes that answers overlaps in both directions.
class PrefixSet {
public:
    void add(const Ipv4Prefix &prefix);
    void remove(const Ipv4Prefix &prefix);
    bool overlaps(const Ipv4Prefix &prefix) const { return overlaps_without({}, prefix); }
    // True if a prefix would overlap although those of `left_out` were removed.
    bool overlaps_without(const PrefixSet &left_out, const Ipv4Prefix &prefix) const;

private:
    using Counts = std::map<Ipv4Prefix, unsigned>;
    unsigned count(const Ipv4Prefix &network) const;

    Counts counts_; // by network
    std::array<unsigned, 33> per_length_{};
};

class HostState {
public:
    void link_changed(Link link);
    // With its link a host loses the addresses of it and the routes through it, also of a link not known yet.
    void link_gone(int ifindex);
    void address_added(const HostAddress &address);
    void address_gone(const HostAddress &address);
    // A default route occupies nothing and is not kept, nor are its two halves, 0.0.0.0/1 and 128.0.0.0/1, by
    // which a VPN goes before it (openvpn(8), --redirect-gateway def1).
    void route_added(const HostRoute &route);
    void route_gone(const HostRoute &route);
    void drop_routes();

    // True if a route leaves through the link, or may: those through several links count for each.
    bool may_route_through(int ifindex) const;

    // Of whoever: the taps that are down, of which the kernel does not tell everything.
    const std::set<int> &down_taps() const { return down_taps_; }

    const Link *link(int ifindex) const;
    const std::unordered_map<int, Link> &links() const { return links_; }
    std::vector<HostAddress> addresses(int ifindex) const;
    const std::set<HostRoute> &routes() const { return routes_; }

    // A device has this name, or this alternative name.
    bool name_taken(const std::string &name) const { return names_.count(name) != 0; }
    // A name of a device is this and a number.
    bool numbered_name_taken(std::string_view prefix) const;
    bool has_route(const Ipv4Prefix &destination, int oif) const;
    // An address or a route destination overlaps the prefix.
    bool occupied(const Ipv4Prefix &prefix) const { return prefixes_.overlaps(prefix); }
    // An address on another link, or a destination of a route through another, overlaps the prefix.
    bool occupied_by_others(int ifindex, const Ipv4Prefix &prefix) const;
    // What overlaps the prefix, in words for an error message: at most `most` of the broadest.
    std::vector<std::string> occupants(const Ipv4Prefix &prefix, std::size_t most) const;

    // The links that changed, came or went since the last call, each once.
    std::set<int> take_changed() { return std::exchange(changed_, {}); }
    // Takes the place of this state, as after a fresh dump: every link of either counts as changed.
    void replace_with(HostState fresh);

private:
    void forget_names(const Link &link);

    std::unordered_map<int, Link> links_;
    std::set<int> down_taps_;
    std::unordered_map<std::string, unsigned> names_;
    std::map<int, std::set<HostAddress>> addresses_;
    std::set<HostRoute> routes_;
    std::map<int, std::set<HostRoute>> routes_by_oif_;
    PrefixSet prefixes_;
    std::set<int> changed_;
};

} // namespace qemutap
