// SPDX-License-Identifier: MIT
//
// The address plan: an index N determines a network, its device, its addresses and its MACs. All results depend only on
// the settings, the address rule and N, so no address is stored or negotiated.

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

// A tap that is alone on an unnamed network, at port 0.
struct PlannedTap {
    std::string device;
    std::string own_prefix{}; // the device's name without its number, if it belongs to this device only; else empty
    Network network{};
    Port port{};
    std::optional<Ipv4Prefix> route{}; // to the guest, if the gateway's prefix does not contain it
};

class AddressPlan {
public:
    // `machine_byte` keeps this machine's MACs different from those of other machines on the same bridge. Throws
    // TapError invalid_argument that names the setting if no index is usable under the settings, if a reservation's
    // index is not usable, or if another reservation has the same index or label.
    AddressPlan(PlanSettings settings, std::uint8_t machine_byte);

    const PlanSettings &settings() const { return settings_; }
    const Pool &pool() const { return pool_; }

    IndexRange indexes(Profile rule) const { return rule_of(rule).indexes(pool_); }
    // The block that the rule's networks are cut from.
    Ipv4Prefix block(Profile rule) const { return rule_of(rule).own_block.value_or(pool_.block()); }
    Ipv4Prefix gateway(Profile rule, unsigned index) const { return rule_of(rule).gateway(pool_, index); }

    Network network(Profile rule, unsigned index) const;
    Port port(const Network &network, unsigned position) const;
    // The tap at this index for the lease with the id `lease`: some rules put the id into device names.
    PlannedTap tap(Profile rule, unsigned index, std::string_view lease) const;

    bool is_excluded(const Network &network) const;
    bool is_reserved(Profile rule, unsigned index) const
    {
        return rule_of(rule).reservable && reserved_indexes_.contains(index);
    }
    // The user's reservation for this label. nullptr: the user has none.
    const Reservation *reservation_of(uid_t uid, std::string_view label) const;

    // The index at which the search for a free one begins. It is the same for the same owner and label on every run.
    // Without a label it is the first index.
    unsigned search_start(Profile rule, uid_t uid, std::string_view label) const;

private:
    void reserve_indexes();

    PlanSettings settings_;
    Pool pool_;
    std::uint8_t machine_byte_ = 0;
    std::set<unsigned> reserved_indexes_;
};

} // namespace qemutap
