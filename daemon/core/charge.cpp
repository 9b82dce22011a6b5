// SPDX-License-Identifier: MIT
//
// Counting what is pending.

#include "daemon/core/charge.hpp"

#include "common/error.hpp"

#include <string>

namespace qemutap {

Charges::Charge Charges::take(uid_t uid)
{
    const auto known = counts_->per_user.find(uid);
    const unsigned own = known == counts_->per_user.end() ? 0 : known->second;
    if (own >= max_pending_per_user || counts_->total >= max_pending)
        throw TapError{ErrorCode::limit_exceeded, std::to_string(own) + " requests of uid " + std::to_string(uid) +
                                                      " wait for their authorisation already; try again when they "
                                                      "are answered"};
    ++counts_->per_user[uid];
    ++counts_->total;
    return {nullptr, [counts = counts_, uid](void *) {
                --counts->total;
                if (--counts->per_user.at(uid) == 0)
                    counts->per_user.erase(uid);
            }};
}

} // namespace qemutap
