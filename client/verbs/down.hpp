// SPDX-License-Identifier: MIT
//
// The verb `down`: ends leases.

#pragma once

#include "client/verbs/verb.hpp"

#include <string>
#include <vector>

namespace qemutap {

struct DownOptions {
    std::vector<std::string> names; // lease ids, labels or tap names; empty with `all`
    bool all = false;
};

extern const Verb down_verb;

// Finds the lease of each name before it ends any.
int perform(const DownOptions &options);

} // namespace qemutap
