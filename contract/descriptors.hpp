// SPDX-License-Identifier: MIT
//
// Defines the order of the descriptors that come with a grant: for each tap its queues, then its vhost descriptors. The
// daemon joins them and the client splits them, each with a function of this file.

#pragma once

#include "common/unique_fd.hpp"
#include "contract/grant.hpp"

#include <cstddef>
#include <vector>

namespace qemutap {

// The most descriptors of one lease. The unread messages of a process may hold as many descriptors as the process may
// open (unix(7); 1024 outside a unit), so at least 48 unread hand-overs of this size are possible.
inline constexpr unsigned max_descriptors = 16;

// The number of descriptors of a lease. With vhost each queue has a vhost descriptor too.
constexpr unsigned descriptor_count(unsigned count, unsigned queues, bool vhost)
{
    return count * queues * (vhost ? 2 : 1);
}

// The number of descriptors that come with this grant. 0 for hold `name`.
std::size_t granted_descriptors(const LeaseGrant &grant);

// A lease as its caller receives it.
struct Acquired {
    LeaseGrant grant{};
    std::vector<UniqueFd> descriptors{}; // in this file's order, closed on exec; none for hold `name`
};

// Puts the descriptors into this file's order. `queues` holds the queues tap by tap, `per_tap` for each tap. `vhost`
// holds the same number of descriptors, or none.
std::vector<UniqueFd> join_descriptors(std::vector<UniqueFd> queues, std::vector<UniqueFd> vhost, unsigned per_tap);

// The descriptors of one tap, by their numbers in this process.
struct TapDescriptors {
    std::vector<int> queues{};
    std::vector<int> vhost{}; // one for each queue, or none
};

// Returns one element for each tap, and none for hold `name`. The lease must have all descriptors of its grant.
std::vector<TapDescriptors> split_descriptors(const Acquired &acquired);

} // namespace qemutap
