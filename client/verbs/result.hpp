// SPDX-License-Identifier: MIT
//
// Writes the results of a verb to stdout and its warnings to stderr.

#pragma once

#include <optional>
#include <string>

namespace qemutap {

// Writes the text to stdout. Throws TapError failed if a part of it can't be written.
void print_result(const std::string &text);

void warn(const std::optional<std::string> &warning);

} // namespace qemutap
