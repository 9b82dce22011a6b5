// SPDX-License-Identifier: MIT
//
// The command line of qemu-tapctl: a verb, its options, and for some verbs another program's command.

#pragma once

#include "client/verbs/verb.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// nullptr: the requested text (--help, --version) is printed to stdout and no work is left. Throws TapError
// invalid_argument.
std::unique_ptr<VerbCall> parse_command_line(int argc, const char *const *argv);

// The text of --help; of the whole program if `verb` is empty. Throws TapError invalid_argument for an unknown verb.
std::string help_text(std::string_view verb);

} // namespace qemutap
