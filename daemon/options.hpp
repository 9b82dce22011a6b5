// SPDX-License-Identifier: MIT
//
// The daemon's options: one table for the command line and for the configuration file.

#pragma once

#include "daemon/privileges.hpp"
#include "plan/configuration.hpp"
#include "plan/settings.hpp"

#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// The default if a service manager or the bus started the daemon. It is long enough for the next command of the same
// script, and short enough that an idle host runs no daemon.
inline constexpr unsigned default_idle_exit_seconds = 30;

// The directory where Yocto's runqemu checks which taps it may take. The path is fixed in that script.
inline constexpr const char *default_runqemu_locks = "/tmp/qemu-tap-locks";

struct DaemonOptions : ServiceSettings {
    std::string log_level = "info";            // a level's name in spdlog
    std::optional<unsigned> idle_exit_seconds; // 0: never; nullopt: default if started on demand, else never
    std::string runqemu_locks = default_runqemu_locks;
    std::string runqemu_locks_at; // path of runqemu_locks as this process sees it; empty: the same path
    ServiceUser user;
    bool end_leases = false; // end all leases instead of serving
};

// The seconds without a call after which the daemon leaves; nullopt: never.
std::optional<unsigned> seconds_until_leaving(const DaemonOptions &options, bool started_on_demand);

// Returns a text for each setting that differs, such as "pool 192.168.0.0/16 is 10.0.0.0/16 now".
std::vector<std::string> differences(const DaemonOptions &before, const DaemonOptions &now);

// Returns nullopt if it printed the text of --help or --version to stdout and there is nothing else to do. Throws
// TapError invalid_argument, with the name of the option or of the line's key. `default_config` need not exist, but a
// file named by --config must.
std::optional<DaemonOptions> parse_daemon_options(int argc, const char *const *argv,
                                                  const std::string &default_config = default_config_path);

} // namespace qemutap
