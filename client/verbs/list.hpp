// SPDX-License-Identifier: MIT
//
// The verb `list`: shows leases.

#pragma once

#include "client/verbs/verb.hpp"

namespace qemutap {

struct ListOptions {
    bool all = false;
    bool json = false;
    bool ask_password = true;
};

extern const Verb list_verb;

int perform(const ListOptions &options);

} // namespace qemutap
