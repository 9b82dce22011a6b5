// SPDX-License-Identifier: MIT
//
// The pool is the block of addresses that subnets are cut from. Each subnet has an index.

#pragma once

#include "common/ipv4.hpp"
#include "plan/settings.hpp"

#include <string>

namespace qemutap {

// A MAC has two bytes for the index.
inline constexpr unsigned highest_index = 0xffff;

class Pool {
public:
    // Takes the pool's part of the settings. Throws TapError invalid_argument that names the setting if no index is
    // usable.
    explicit Pool(const PlanSettings &settings);

    const Ipv4Prefix &block() const { return block_; }
    unsigned prefix_length() const { return prefix_length_; }

    // The first and the last usable index. The block's last subnet is not usable: its broadcast address is the block's.
    unsigned first_index() const { return first_index_; }
    unsigned last_index() const { return last_index_; }
    unsigned size() const { return last_index_ - first_index_ + 1; }

    Ipv4Prefix subnet(unsigned index) const;
    Ipv4Prefix gateway(unsigned index) const; // the host's address, with the subnet's length
    std::string device_name(unsigned index) const { return device_prefix_ + std::to_string(index); }

private:
    Ipv4Prefix block_;
    unsigned prefix_length_;
    unsigned first_index_;
    unsigned last_index_ = 0;
    std::string device_prefix_;
};

} // namespace qemutap
