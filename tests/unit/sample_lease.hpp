// SPDX-License-Identifier: MIT
//
// Leases as the daemon grants them without exclusions: tapN, 192.168.N.1 and 192.168.N.2, with N from 7.

#pragma once

#include "contract/grant.hpp"
#include "contract/hold.hpp"

#include <cstdint>
#include <string>

namespace qemutap {

inline TapGrant sample_tap(unsigned index)
{
    TapGrant tap;
    tap.name = "tap" + std::to_string(index);
    tap.index = index;
    tap.gateway = {0xc0a80001 + (index << 8)};
    tap.guest = {0xc0a80002 + (index << 8)};
    tap.prefix_length = 24;
    tap.mac.bytes = {0x52, 0x54, 0x00, 0xab, 0x00, static_cast<std::uint8_t>(index)};
    return tap;
}

inline LeaseGrant sample_lease(unsigned count, unsigned first_index = 7)
{
    LeaseGrant lease;
    lease.lease = "0123456789abcdef";
    lease.uid = 1000;
    lease.hold = Hold::name;
    for (unsigned i = 0; i < count; ++i)
        lease.taps.push_back(sample_tap(first_index + i));
    return lease;
}

} // namespace qemutap
