// SPDX-License-Identifier: MIT
//
// The verb `help`: opens the manual page.

#pragma once

#include "client/verbs/verb.hpp"

#include <string>

namespace qemutap {

struct HelpOptions {
    std::string verb; // empty: the whole program
};

extern const Verb help_verb;

// Where man(1) or the page is not installed, prints the text of --help.
int perform(const HelpOptions &options);

} // namespace qemutap
