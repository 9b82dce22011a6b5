// SPDX-License-Identifier: MIT
//
// The grant of a lease: the taps that a caller receives, and the terms on which it holds them.

#pragma once

#include "common/ipv4.hpp"
#include "common/mac_address.hpp"
#include "contract/hold.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

struct TapGrant {
    std::string name{}; // of the host's device
    unsigned index = 0;
    Ipv4Address gateway{}; // the host's address on the device; 0.0.0.0 if another program removed it
    Ipv4Address guest{};   // 0.0.0.0 if the gateway is 0.0.0.0
    unsigned prefix_length = 0;
    MacAddress mac{}; // the guest's
    unsigned queues = 1;
    bool vhost = false;

    friend bool operator==(const TapGrant &, const TapGrant &) = default;
};

struct LeaseGrant {
    std::string lease{}; // its id
    std::string label{}; // empty: none
    uid_t uid = 0;
    Hold hold = Hold::fd;
    std::uint64_t idle_timeout_seconds = 0; // 0: none
    bool attended = false;                  // the lease ends with its caller's connection to the bus
    std::vector<TapGrant> taps{};
    std::optional<std::uint64_t> born_seconds{}; // the time of its creation by CLOCK_BOOTTIME; nullopt: unknown

    friend bool operator==(const LeaseGrant &, const LeaseGrant &) = default;
};

// True for 16 lower-case hex digits.
bool is_lease_id(std::string_view text);

} // namespace qemutap
