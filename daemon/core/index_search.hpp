// SPDX-License-Identifier: MIT
//
// The order in which a lease tries indexes. The search begins at the label's start index, or at the lowest index
// without a label, and passes once through the range. It puts off the indexes that another user had a short while ago,
// and returns them last, in the order in which their taps ended. It skips reserved indexes. The caller decides whether
// an index is free.

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

    // Returns each index once, then nullopt.
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
    std::vector<std::pair<Moment, unsigned>> put_off_; // when its tap ended, and the index
    std::size_t put_off_tried_ = 0;
};

} // namespace qemutap
