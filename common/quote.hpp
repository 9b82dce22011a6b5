// SPDX-License-Identifier: MIT
//
// Text of unknown origin made fit for one line: for the log, for error messages and for a terminal.

#pragma once

#include <string>
#include <string_view>

namespace qemutap {

// In double quotes; control bytes, quotes, backslashes and everything that is not ASCII as \xNN, and cut
// after 80 bytes with "..." behind the closing quote.
std::string quote(std::string_view text);

// A text that is a message already, such as a library's: line breaks and other control bytes become spaces, what is
// not ASCII \xNN.
std::string one_line(std::string_view text);

} // namespace qemutap
