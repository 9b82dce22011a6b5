// SPDX-License-Identifier: MIT
//
// Joins and splits a lease's descriptors by their order.

#include "contract/descriptors.hpp"

#include "contract/hold.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace qemutap {

std::size_t granted_descriptors(const LeaseGrant &grant)
{
    std::size_t count = 0;
    if (rule_of(grant.hold).gives_descriptors)
        for (const auto &tap : grant.taps)
            count += descriptor_count(1, tap.queues, tap.vhost);
    return count;
}

std::vector<UniqueFd> join_descriptors(std::vector<UniqueFd> queues, std::vector<UniqueFd> vhost, unsigned per_tap)
{
    if (vhost.empty())
        return queues;
    std::vector<UniqueFd> joined;
    joined.reserve(queues.size() + vhost.size());
    auto queue = queues.begin();
    auto companion = vhost.begin();
    while (queue != queues.end()) {
        std::move(queue, queue + per_tap, std::back_inserter(joined));
        std::move(companion, companion + per_tap, std::back_inserter(joined));
        queue += per_tap;
        companion += per_tap;
    }
    return joined;
}

std::vector<TapDescriptors> split_descriptors(const Acquired &acquired)
{
    std::vector<TapDescriptors> taps;
    if (!rule_of(acquired.grant.hold).gives_descriptors)
        return taps;
    auto next = acquired.descriptors.begin();
    const auto take = [&next](unsigned count) {
        std::vector<int> numbers;
        numbers.reserve(count);
        for (unsigned i = 0; i < count; ++i)
            numbers.push_back((next++)->get());
        return numbers;
    };
    for (const auto &tap : acquired.grant.taps) {
        auto queues = take(tap.queues);
        taps.push_back({.queues = std::move(queues), .vhost = take(tap.vhost ? tap.queues : 0)});
    }
    return taps;
}

} // namespace qemutap
