// SPDX-License-Identifier: MIT
//
// Remembers the last owner of each index for a short while after the end of its tap. A guest that restarts then finds
// its address free, although every user can compute a label that leads to this address. The memory is empty after a
// restart of the service. Only the order in which free indexes are tried depends on it.

#pragma once

#include "contract/profile.hpp"
#include "daemon/core/lease_table.hpp"
#include "plan/address_rules.hpp"

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <unordered_map>

namespace qemutap {

// Long enough for a VM to restart, and for an update of QEMU on the host.
inline constexpr Moment recent_index_time = std::chrono::minutes{10};

class RecentIndexes {
public:
    // Records the end of a tap of this user with this index. Each index has one entry, for its last owner.
    void note_end(Profile profile, unsigned index, uid_t uid, Moment now);

    // When the index's tap ended, if its last owner is another user than `uid` and it ended within recent_index_time;
    // else nullopt.
    std::optional<Moment> ended_of_another(Profile profile, unsigned index, uid_t uid, Moment now) const;

private:
    struct End {
        uid_t uid;
        Moment at;
    };
    using Ends = std::unordered_map<unsigned, End>;

    PerRule<Ends> ends_; // separate for each rule: the same index gives another address by another rule
};

} // namespace qemutap
