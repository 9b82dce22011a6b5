// SPDX-License-Identifier: MIT
//
// The last owner of each index, for a short while after its tap ended. A guest that restarts finds its address free,
// although every user can compute a label that leads to it. This is memory and not state: after a restart of the
// service it is empty, and nothing depends on it but the order in which free indexes are tried.

#pragma once

#include "contract/profile.hpp"
#include "daemon/core/lease_table.hpp"
#include "plan/address_rules.hpp"

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <unordered_map>

namespace qemutap {

// Long enough for a VM to restart, and for a host's update of QEMU.
inline constexpr Moment recent_index_time = std::chrono::minutes{10};

class RecentIndexes {
public:
    // A tap of this user's with this index ended. Each index has one entry, that of its last owner.
    void note_end(Profile profile, unsigned index, uid_t uid, Moment now);

    // When the tap ended, if another user than `uid` had the index within recent_index_time.
    std::optional<Moment> ended_of_another(Profile profile, unsigned index, uid_t uid, Moment now) const;

private:
    struct End {
        uid_t uid;
        Moment at;
    };
    using Ends = std::unordered_map<unsigned, End>;

    PerRule<Ends> ends_; // the same index is another address by another rule
};

} // namespace qemutap
