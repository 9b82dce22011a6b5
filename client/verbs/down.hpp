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

// Finds the leases of all names before it ends the first one.
int perform(const DownOptions &options);

} // namespace qemutap
