// SPDX-License-Identifier: MIT
//
// The verb `help`: opens the manual page.

#pragma once

#include "client/verbs/verb.hpp"

#include <string>

namespace qemutap {

struct HelpOptions {
    std::string verb; // empty: help for the whole program
};

extern const Verb help_verb;

// Opens the manual page in place of this program. If man(1) or the page is not installed, prints the text of --help.
int perform(const HelpOptions &options);

} // namespace qemutap
