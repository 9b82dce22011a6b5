// SPDX-License-Identifier: MIT
//
// The order in which a lease's indexes are tried: from the label's start (the lowest without a label) once round the
// range, and last those that another user had a short while ago, the one that ended first before the others. Reserved
// indexes are not in it. Whether an index is free the caller decides.

#pragma once

#include "contract/profile.hpp"
#include "daemon/core/recent_indexes.hpp"
#include "plan/address_plan.hpp"

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace qemutap {

class IndexSearch {
public:
    // `plan` and `recent` must outlive this.
    IndexSearch(const AddressPlan &plan, const RecentIndexes &recent, Profile profile, uid_t uid,
                std::string_view label, Moment now);

    // Each index once; nullopt: all were tried.
    std::optional<unsigned> next();

private:
    const AddressPlan &plan_;
    const RecentIndexes &recent_;
    Profile profile_;
    uid_t uid_;
    Moment now_;
    IndexRange range_;
    unsigned start_;
    unsigned looked_at_ = 0;
    std::vector<std::pair<Moment, unsigned>> put_off_; // when each ended, and the index
    std::size_t put_off_tried_ = 0;
};

} // namespace qemutap
