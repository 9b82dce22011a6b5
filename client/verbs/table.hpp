// SPDX-License-Identifier: MIT
//
// The one list of verbs: --help, the errors and the tests of pages and completions take it from here.

#pragma once

#include "client/verbs/verb.hpp"

#include <span>

namespace qemutap {

// In the order of --help and of the manual page.
std::span<const Verb *const> all_verbs();

} // namespace qemutap
