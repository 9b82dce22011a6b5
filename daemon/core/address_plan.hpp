// SPDX-License-Identifier: MIT
//
// The address plan: one index N names a tap's device, its subnet, both its addresses and both its MACs.
// Everything here is a fixed function of the settings and of N, so nothing about an address is ever stored
// or negotiated, and whoever knows N knows the rest.

#pragma once

#include "common/ipv4.hpp"
#include "common/mac_address.hpp"

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

struct PlanSettings {
    Ipv4Prefix pool{{0xc0a80000}, 16}; // 192.168.0.0/16
    unsigned prefix_length = 24;
    unsigned first_index = 7; // above the home routers' 0 and 1
    std::string device_prefix = "tap";
    // 192.168.7.0/24, where Yocto's runqemu has the addresses of its taps, and 192.168.122.0/24, libvirt's default.
    std::vector<Ipv4Prefix> exclusions{{{0xc0a80700}, 24}, {{0xc0a87a00}, 24}};
};

class AddressPlan {
public:
    // `machine_byte` tells this machine's MACs from another's on the same bridge.
    // Throws TapError invalid_argument that names the setting if no index is usable under the settings.
    AddressPlan(PlanSettings settings, std::uint8_t machine_byte);

    const PlanSettings &settings() const { return settings_; }

    // Both ends are usable, if not excluded. The pool's last subnet isn't: its broadcast address is the pool's.
    unsigned first_index() const { return settings_.first_index; }
    unsigned last_index() const { return last_index_; }
    unsigned size() const { return last_index_ - settings_.first_index + 1; }

    Ipv4Prefix subnet(unsigned index) const;
    Ipv4Prefix gateway(unsigned index) const; // the host's address, with the subnet's length
    std::string device_name(unsigned index) const;
    bool is_excluded(unsigned index) const;

    // Injective in N: never twice on one host. Never 52:54:00:12:..., which QEMU and runqemu hand out.
    MacAddress guest_mac(unsigned index) const { return mac(0x52, index); }
    // Above every address that a bridge would take for its own, since a bridge takes its lowest port's.
    MacAddress host_mac(unsigned index) const { return mac(0xfe, index); }

    // Where the search for a free index begins: the same for the same owner and label on every run, and
    // first_index() without a label.
    unsigned search_start(uid_t uid, std::string_view label) const;

private:
    MacAddress mac(std::uint8_t first_byte, unsigned index) const;

    PlanSettings settings_;
    unsigned last_index_ = 0;
    std::uint8_t machine_byte_ = 0;
};

// The guest's address in the subnet of its gateway.
Ipv4Address client_address(Ipv4Address gateway);

} // namespace qemutap
