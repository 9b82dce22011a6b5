// SPDX-License-Identifier: MIT
//
// Reads qemu-tapd.conf(5). It needs no command line, so every service and every tool can read the file.

#pragma once

#include "plan/settings.hpp"

#include <istream>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

inline constexpr const char *default_config_path = "/etc/qemu-tapd.conf";

// The file's keys that apply to the daemon only. The daemon's command line (daemon/options.cpp) reads their values.
inline constexpr std::string_view daemon_keys[] = {"log-level", "idle-exit", "user"};

// A key with the words of all lines that have it.
struct ConfigurationItem {
    std::string key;
    Words words;
};

// Reads the lines of a configuration file. Throws TapError invalid_argument with the line in the text if a line is
// neither `key = value` nor a comment.
std::vector<ConfigurationItem> parse_configuration(std::istream &lines);

// Throws TapError invalid_argument if the file exists and can't be read.
void require_absent_or_readable(const std::string &path);

// Returns the shared settings of the file, or the defaults if the file does not exist. Throws TapError invalid_argument
// that names the file, the line or the key.
ServiceSettings read_settings(const std::string &path);

} // namespace qemutap
