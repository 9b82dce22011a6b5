// SPDX-License-Identifier: MIT
//
// Writes the log: to the journal if stderr is the journal's, else to stderr. Each change of state gets one line. The
// caller must quote() text that came from a user. No function throws.

#pragma once

#include <string>
#include <string_view>

namespace qemutap {

// `level` is debug, info, warning or error. Without this call, lines of level info and above are written to stderr.
void open_log(const std::string &level);
// Changes the level for all later lines. `level` is debug, info, warning or error.
void set_log_level(const std::string &level);

void log_debug(std::string_view line) noexcept;
void log_info(std::string_view line) noexcept;
void log_warning(std::string_view line) noexcept;
void log_error(std::string_view line) noexcept;

} // namespace qemutap
