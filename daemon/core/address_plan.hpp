// SPDX-License-Identifier: MIT
//
// The address plan: one index N names a tap's device, its subnet, both its addresses and both its MACs.
// Everything here is a fixed function of the settings and of N, so nothing about an address is ever stored
// or negotiated, and whoever knows N knows the rest. There are two such functions: ours, and that of Yocto's
// runqemu, for whom it must be its own (openembedded-core, scripts/runqemu and scripts/runqemu-ifup).

#pragma once

#include "common/grant.hpp"
#include "common/ipv4.hpp"
#include "common/mac_address.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// The network of runqemu's taps, and how many of its pairs of addresses there are.
inline constexpr Ipv4Prefix runqemu_network{{0xc0a80700}, 24}; // 192.168.7.0/24
inline constexpr unsigned runqemu_pairs = 127;

// An index that one user's label alone gets.
struct Reservation {
    std::string user; // as the administrator wrote it, a name or a uid
    uid_t uid = 0;
    std::string label;
    unsigned index = 0;

    std::string text() const; // as in the configuration: "alice web 42"
    friend bool operator==(const Reservation &, const Reservation &) = default;
};

struct PlanSettings {
    Ipv4Prefix pool{{0xc0a80000}, 16}; // 192.168.0.0/16
    unsigned prefix_length = 24;
    unsigned first_index = 7; // above the home routers' 0 and 1
    std::string device_prefix = "tap";
    // 192.168.7.0/24, where Yocto's runqemu has the addresses of its taps, and 192.168.122.0/24, libvirt's default.
    std::vector<Ipv4Prefix> exclusions{runqemu_network, {{0xc0a87a00}, 24}};
    std::vector<Reservation> reservations{};
};

struct IndexRange {
    unsigned first;
    unsigned size;
};

// What an index of a profile comes to.
struct PlannedTap {
    std::string name;
    std::string own_prefix;           // what stands before the number in no other device's name; empty: no matter
    std::vector<Ipv4Prefix> prefixes; // what nobody else may overlap
    Ipv4Prefix gateway;               // the host's address, with the length that it has on the device
    std::optional<Ipv4Prefix> route;  // to the guest, where it is not in the gateway's prefix
    MacAddress guest_mac;
    MacAddress host_mac;
};

class AddressPlan {
public:
    // `machine_byte` tells this machine's MACs from another's on the same bridge.
    // Throws TapError invalid_argument that names the setting if no index is usable under the settings, or if a
    // reservation is of no usable index, or of an index or a label that another reservation has.
    AddressPlan(PlanSettings settings, std::uint8_t machine_byte);

    const PlanSettings &settings() const { return settings_; }

    // Both ends are usable, if not excluded. The pool's last subnet isn't: its broadcast address is the pool's.
    unsigned first_index() const { return settings_.first_index; }
    unsigned last_index() const { return last_index_; }
    unsigned size() const { return last_index_ - settings_.first_index + 1; }

    Ipv4Prefix subnet(unsigned index) const;
    Ipv4Prefix gateway(unsigned index) const; // the host's address, with the subnet's length
    std::string device_name(unsigned index) const;

    IndexRange indexes(Profile profile) const;
    Ipv4Prefix gateway(Profile profile, unsigned index) const;
    // Under `runqemu` the device's name is the lease's own, as runqemu takes whichever tap has the prefix it is told.
    PlannedTap tap(Profile profile, unsigned index, std::string_view lease) const;
    // runqemu's network is no exclusion for its own taps.
    bool is_excluded(Profile profile, const PlannedTap &tap) const;

    bool is_reserved(Profile profile, unsigned index) const
    {
        return profile == Profile::standard && reserved_indexes_.count(index) != 0;
    }
    // nullptr: this user has no reservation with this label.
    const Reservation *reservation_of(uid_t uid, std::string_view label) const;

    // Where the search for a free index begins: the same for the same owner and label on every run, and
    // the first one without a label.
    unsigned search_start(Profile profile, uid_t uid, std::string_view label) const;

private:
    // Injective in profile and N: never twice on one host. A guest's is never 52:54:00:12:..., which QEMU and runqemu
    // hand out; the host's is above every address that a bridge would take for its own, since a bridge takes its
    // lowest port's.
    MacAddress mac(std::uint8_t first_byte, Profile profile, unsigned index) const;
    void reserve_indexes();

    PlanSettings settings_;
    unsigned last_index_ = 0;
    std::uint8_t machine_byte_ = 0;
    std::set<unsigned> reserved_indexes_;
};

// The guest's address in the subnet of its gateway.
Ipv4Address client_address(Ipv4Address gateway);

} // namespace qemutap
