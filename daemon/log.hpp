// SPDX-License-Identifier: MIT
//
// The log: to the journal where stderr is the journal's, else to stderr. One line per change of state; text
// that came from a user must be quote() by whoever writes the line. Nothing here throws.

#pragma once

#include <string>
#include <string_view>

namespace qemutap {

// `level` is one of debug, info, warning, error. Without a call: info and above to stderr.
void open_log(const std::string &level);
// From now on; the same words.
void set_log_level(const std::string &level);

void log_debug(std::string_view line) noexcept;
void log_info(std::string_view line) noexcept;
void log_warning(std::string_view line) noexcept;
void log_error(std::string_view line) noexcept;

} // namespace qemutap
