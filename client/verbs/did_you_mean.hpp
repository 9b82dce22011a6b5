// SPDX-License-Identifier: MIT
//
// A hint for a word that is mistyped.

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// The least number of letters to insert, delete, replace or swap with a neighbour that makes `from` of `to`.
unsigned edit_distance(std::string_view from, std::string_view to);

// "; did you mean "up"?" with the known words that are nearest; empty if none is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string> &known);

} // namespace qemutap
