// SPDX-License-Identifier: MIT
//
// A lease's id is unique; labels are not, and one may look like a tap's name.

#include "client/resolve.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"

#include <algorithm>

namespace qemutap {

const LeaseGrant &resolve(const std::vector<LeaseGrant> &leases, const std::string &name)
{
    std::vector<const LeaseGrant *> meant;
    for (const auto &lease : leases) {
        if (lease.lease == name)
            return lease;
        const bool has_tap =
            std::any_of(lease.taps.begin(), lease.taps.end(), [&](const TapGrant &tap) { return tap.name == name; });
        if (has_tap || (!name.empty() && lease.label == name))
            meant.push_back(&lease);
    }
    if (meant.empty())
        throw TapError{ErrorCode::no_such_lease,
                       "there is no lease, label or tap " + quote(name) + " of yours; see qemu-tapctl list"};
    if (meant.size() > 1) {
        std::string text = quote(name) + " names " + std::to_string(meant.size()) + " leases; give one of";
        for (const auto *lease : meant)
            text += " " + lease->lease;
        throw TapError{ErrorCode::invalid_argument, text};
    }
    return *meant.front();
}

} // namespace qemutap
