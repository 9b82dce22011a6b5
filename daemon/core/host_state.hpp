// SPDX-License-Identifier: MIT
//
// The host's network as far as decisions need it: links with their names and aliases, IPv4 addresses, and the IPv4
// routes of all tables. The netlink code passes changes to a HostState. A HostState answers whether a name or a prefix
// is taken, in time that does not grow with the number of links, addresses and routes.

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
    bool carrier = false; // IFF_LOWER_UP: a process has a queue open
    LinkSettings settings;

    // True for a link of kind tun and type tap. Only such links have the members below.
    bool is_tap = false;
    std::optional<uid_t> tun_owner;
    bool persistent = false;
    // Set for multi-queue taps only, and only if the kernel counts their queues.
    std::optional<unsigned> queues;
    unsigned disabled_queues = 0;

    friend bool operator==(const Link &, const Link &) = default;
};

struct HostAddress {
    int ifindex = 0;
    Ipv4Prefix local; // the address itself, with the length of its subnet
    Ipv4Prefix peer;  // the other end of a point-to-point link; else equal to local

    friend auto operator<=>(const HostAddress &, const HostAddress &) = default;
};

struct HostRoute {
    std::uint32_t table = 0;
    Ipv4Prefix destination;
    int oif = 0; // 0: no outgoing link, or several
    std::uint8_t tos = 0;
    std::uint32_t priority = 0;
    std::uint8_t type = 0;
    Ipv4Address via;

    friend auto operator<=>(const HostRoute &, const HostRoute &) = default;
};

// A multiset of prefixes that finds overlaps in both directions: prefixes inside a prefix, and prefixes that contain
// it.
class PrefixSet {
public:
    void add(const Ipv4Prefix &prefix);
    void remove(const Ipv4Prefix &prefix);
    bool overlaps(const Ipv4Prefix &prefix) const { return overlaps_without({}, prefix); }
    // True if a prefix would still overlap after the prefixes of `left_out` were removed.
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
    // Removes the link, its addresses and the routes through it. The link itself need not be known.
    void link_gone(int ifindex);
    void address_added(const HostAddress &address);
    void address_gone(const HostAddress &address);
    // Ignores default routes: they occupy nothing. Also ignores the two halves of a default route, 0.0.0.0/1 and
    // 128.0.0.0/1, which a VPN adds to take precedence over it (openvpn(8), --redirect-gateway def1).
    void route_added(const HostRoute &route);
    void route_gone(const HostRoute &route);
    void drop_routes();

    // True if a route leaves through the link or may do so: a route through several links counts for every link.
    bool may_route_through(int ifindex) const;

    // All taps that are down, of any owner. The kernel does not announce all changes of such taps.
    const std::set<int> &down_taps() const { return down_taps_; }

    const Link *link(int ifindex) const;
    const std::unordered_map<int, Link> &links() const { return links_; }
    std::vector<HostAddress> addresses(int ifindex) const;
    const std::set<HostRoute> &routes() const { return routes_; }

    // True if a device has this name or this alternative name.
    bool name_taken(const std::string &name) const { return names_.count(name) != 0; }
    // True if a device has a name that is `prefix` followed by a number.
    bool numbered_name_taken(std::string_view prefix) const;
    bool has_route(const Ipv4Prefix &destination, int oif) const;
    // True if an address or a route destination overlaps the prefix.
    bool occupied(const Ipv4Prefix &prefix) const { return prefixes_.overlaps(prefix); }
    // True if an address on another link, or the destination of a route through another link, overlaps the prefix.
    bool occupied_by_others(int ifindex, const Ipv4Prefix &prefix) const;
    // Describes the addresses and routes that overlap the prefix, for an error message: at most `most`, the broadest
    // first.
    std::vector<std::string> occupants(const Ipv4Prefix &prefix, std::size_t most) const;

    // Returns the links that were added, changed or removed since the last call, each once.
    std::set<int> take_changed() { return std::exchange(changed_, {}); }
    // Replaces this state with a fresh dump. Every link of the old and of the new state counts as changed.
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
