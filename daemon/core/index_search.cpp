// SPDX-License-Identifier: MIT
//
// Searches in two rounds: the second round returns the indexes that the first one put off.

#include "daemon/core/index_search.hpp"

#include "contract/profile.hpp"

#include <algorithm>

namespace qemutap {

IndexSearch::IndexSearch(const AddressPlan &plan, const RecentIndexes &recent, Profile profile, uid_t uid,
                         std::string_view label, Moment now)
    : plan_{plan},
      recent_{recent},
      profile_{profile},
      uid_{uid},
      now_{now},
      range_{plan.indexes(profile)},
      start_{plan.search_start(profile, uid, label)}
{}

std::optional<unsigned> IndexSearch::next()
{
    while (looked_at_ < range_.size) {
        const auto index = range_.first + (start_ - range_.first + looked_at_++) % range_.size;
        if (plan_.is_reserved(profile_, index))
            continue;
        const auto ended = recent_.ended_of_another(profile_, index, uid_, now_);
        if (!ended)
            return index;
        put_off_.emplace_back(*ended, index);
    }
    if (put_off_tried_ == 0)
        std::stable_sort(put_off_.begin(), put_off_.end(),
                         [](const auto &a, const auto &b) { return a.first < b.first; });
    if (put_off_tried_ == put_off_.size())
        return std::nullopt;
    return put_off_[put_off_tried_++].second;
}

} // namespace qemutap
