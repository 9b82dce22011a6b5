// SPDX-License-Identifier: MIT
//
// The text that a verb writes: results to stdout, warnings to stderr.

#pragma once

#include <optional>
#include <string>

namespace qemutap {

// Throws TapError failed if not all of the text reaches stdout.
void print_result(const std::string &text);

void warn(const std::optional<std::string> &warning);

} // namespace qemutap
