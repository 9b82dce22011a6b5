// SPDX-License-Identifier: MIT
//
// Makes a hint for a mistyped word.

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// The least number of changes that turn `from` into `to`. A change inserts, deletes or replaces a letter, or swaps two
// neighbours.
unsigned edit_distance(std::string_view from, std::string_view to);

// Returns a text such as "; did you mean "up"?" with the nearest known words. Empty if no known word is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string> &known);

} // namespace qemutap
