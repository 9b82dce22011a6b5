// SPDX-License-Identifier: MIT
//
// A network is what taps are attached to; the host has an address on it, the gateway. An unnamed network has one port
// and no bridge: the tap itself carries the gateway's address.

#pragma once

#include "common/ipv4.hpp"
#include "contract/profile.hpp"

#include <string>
#include <vector>

namespace qemutap {

enum class NetworkMode {
    host_only, // guests reach the host and nothing else
};

struct Network {
    Profile rule = Profile::standard;
    unsigned index = 0;
    NetworkMode mode = NetworkMode::host_only;
    std::string name{};                 // empty: unnamed
    std::vector<Ipv4Prefix> prefixes{}; // no other network overlaps any of these
    Ipv4Prefix gateway{};               // the host's address, with the length that it has on the device
};

} // namespace qemutap
