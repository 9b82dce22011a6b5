// SPDX-License-Identifier: MIT
//
// Keeps the last end of a tap for each index.

#include "daemon/core/recent_indexes.hpp"

namespace qemutap {

void RecentIndexes::note_end(Profile profile, unsigned index, uid_t uid, Moment now)
{
    ends_[profile].insert_or_assign(index, End{.uid = uid, .at = now});
}

std::optional<Moment> RecentIndexes::ended_of_another(Profile profile, unsigned index, uid_t uid, Moment now) const
{
    const auto &ends = ends_[profile];
    const auto found = ends.find(index);
    if (found == ends.end() || found->second.uid == uid || now - found->second.at >= recent_index_time)
        return std::nullopt;
    return found->second.at;
}

} // namespace qemutap
