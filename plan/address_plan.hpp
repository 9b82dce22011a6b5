// SPDX-License-Identifier: MIT
//
// The address plan: an index N names a network, its device, its addresses and its MACs. Everything here is a fixed
// function of the settings, of an address rule and of N, so that no address is stored or negotiated.

#pragma once

#include "common/ipv4.hpp"
#include "contract/profile.hpp"
#include "plan/address_rules.hpp"
#include "plan/network.hpp"
#include "plan/pool.hpp"
#include "plan/port.hpp"
#include "plan/settings.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace qemutap {

// A tap alone on an unnamed network, at port 0.
struct PlannedTap {
    std::string device;
    std::string own_prefix{}; // the device's name without its number, where no other device may have it; else empty
    Network network{};
    Port port{};
    std::optional<Ipv4Prefix> route{}; // to the guest, where the gateway's prefix does not hold it
};

class AddressPlan {
public:
    // `machine_byte` tells this machine's MACs from another's on the same bridge.
    // Throws TapError invalid_argument that names the setting if no index is usable under the settings, or if a
    // reservation has no usable index, or an index or a label that another reservation has.
    AddressPlan(PlanSettings settings, std::uint8_t machine_byte);

    const PlanSettings &settings() const { return settings_; }
    const Pool &pool() const { return pool_; }

    IndexRange indexes(Profile rule) const { return rule_of(rule).indexes(pool_); }
    // The block that the rule's networks are cut from.
    Ipv4Prefix block(Profile rule) const { return rule_of(rule).own_block.value_or(pool_.block()); }
    Ipv4Prefix gateway(Profile rule, unsigned index) const { return rule_of(rule).gateway(pool_, index); }

    Network network(Profile rule, unsigned index) const;
    Port port(const Network &network, unsigned position) const;
    // `lease` is the id of the lease that the tap is for: some rules name devices by it.
    PlannedTap tap(Profile rule, unsigned index, std::string_view lease) const;

    bool is_excluded(const Network &network) const;
    bool is_reserved(Profile rule, unsigned index) const
    {
        return rule_of(rule).reservable && reserved_indexes_.contains(index);
    }
    // nullptr: this user has no reservation with this label.
    const Reservation *reservation_of(uid_t uid, std::string_view label) const;

    // Where the search for a free index begins: the same index for the same owner and label on every run, and the first
    // one without a label.
    unsigned search_start(Profile rule, uid_t uid, std::string_view label) const;

private:
    void reserve_indexes();

    PlanSettings settings_;
    Pool pool_;
    std::uint8_t machine_byte_ = 0;
    std::set<unsigned> reserved_indexes_;
};

} // namespace qemutap
