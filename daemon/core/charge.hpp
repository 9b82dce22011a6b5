// SPDX-License-Identifier: MIT
//
// Requests that wait for an authorisation, counted per user: whoever makes us wait holds a charge, and there
// are only so many (I8).

#pragma once

#include <sys/types.h>

#include <memory>
#include <unordered_map>

namespace qemutap {

inline constexpr unsigned max_pending_per_user = 256;
inline constexpr unsigned max_pending = 1024;

class Charges {
public:
    // Given back by its destruction, also after that of the Charges.
    using Charge = std::shared_ptr<void>;

    // Throws TapError limit_exceeded.
    Charge take(uid_t uid);

private:
    struct Counts {
        std::unordered_map<uid_t, unsigned> per_user;
        unsigned total = 0;
    };
    std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
};

} // namespace qemutap
