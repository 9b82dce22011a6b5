// SPDX-License-Identifier: MIT
//
// The daemon's options: one table, read from the command line and from the configuration file alike.

#pragma once

#include "daemon/core/address_plan.hpp"
#include "daemon/core/tap_service.hpp"

#include <optional>
#include <string>

namespace qemutap {

inline constexpr const char *default_config_path = "/etc/qemu-tapd.conf";

struct DaemonOptions {
    PlanSettings plan;
    Limits limits;
    std::string log_level = "info"; // spdlog's names
};

// nullopt: the text asked for (--help, --version) was printed to stdout and there is nothing else to do.
// Throws TapError invalid_argument that names the option or the line's key. `default_config` may be absent;
// a file named by --config may not.
std::optional<DaemonOptions> parse_daemon_options(int argc, const char *const *argv,
                                                  const std::string &default_config = default_config_path);

} // namespace qemutap
