// SPDX-License-Identifier: MIT
//
// Makes text of unknown origin safe for one line of the log, of an error message or of a terminal.

#pragma once

#include <string>
#include <string_view>

namespace qemutap {

// Returns the text in double quotes. Control bytes, quotes, backslashes and all bytes that are not ASCII become \xNN. A
// text longer than 80 bytes is cut, and "..." follows the closing quote.
std::string quote(std::string_view text);

// Prepares a text that is already a message, such as a library's error, without quotes around it. Line breaks and other
// control bytes become spaces; bytes that are not ASCII become \xNN.
std::string one_line(std::string_view text);

} // namespace qemutap
