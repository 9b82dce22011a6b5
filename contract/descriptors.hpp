// SPDX-License-Identifier: MIT
//
// The descriptors that come with a grant, and their order: for each tap its queues, then its vhost descriptors.
// The daemon joins and the client splits by the two functions here.

#pragma once

#include "common/unique_fd.hpp"
#include "contract/grant.hpp"

#include <cstddef>
#include <vector>

namespace qemutap {

// The most that one lease has. The kernel lets the unread messages of a process hold as many descriptors as the process
// may open (unix(7); 1024 without a unit), so 48 hand-overs of this size fit.
inline constexpr unsigned max_descriptors = 16;

// With vhost each queue comes with a vhost descriptor.
constexpr unsigned descriptor_count(unsigned count, unsigned queues, bool vhost)
{
    return count * queues * (vhost ? 2 : 1);
}

// The number of descriptors that come with this grant; 0 for hold `name`.
std::size_t granted_descriptors(const LeaseGrant &grant);

// A lease as its caller receives it.
struct Acquired {
    LeaseGrant grant{};
    std::vector<UniqueFd> descriptors{}; // in this file's order, closed on exec; none for hold `name`
};

// `queues` has the queues of one tap after the other, `per_tap` of each; `vhost` has as many descriptors, or none.
std::vector<UniqueFd> join_descriptors(std::vector<UniqueFd> queues, std::vector<UniqueFd> vhost, unsigned per_tap);

// The descriptors of one tap, by their numbers in this process.
struct TapDescriptors {
    std::vector<int> queues{};
    std::vector<int> vhost{}; // as many as queues, or none
};

// An element for each tap; none for hold `name`. The lease must have all descriptors of its grant.
std::vector<TapDescriptors> split_descriptors(const Acquired &acquired);

} // namespace qemutap
