// SPDX-License-Identifier: MIT
//
// The only list of verbs. --help, the errors and the tests of pages and completions use it.

#pragma once

#include "client/verbs/verb.hpp"

#include <span>

namespace qemutap {

// All verbs in the order of --help and of the manual page.
std::span<const Verb *const> all_verbs();

} // namespace qemutap
