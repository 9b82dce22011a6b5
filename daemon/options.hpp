// SPDX-License-Identifier: MIT
//
// The daemon's options: one table, read from the command line and from the configuration file alike.

#pragma once

#include "daemon/privileges.hpp"
#include "plan/configuration.hpp"
#include "plan/settings.hpp"

#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// If a service manager or the bus started us. Long enough for the next command of the same script, short enough
// that an idle host has no daemon.
inline constexpr unsigned default_idle_exit_seconds = 30;

// Where Yocto's runqemu looks which taps it may take; fixed in that script.
inline constexpr const char *default_runqemu_locks = "/tmp/qemu-tap-locks";

struct DaemonOptions : ServiceSettings {
    std::string log_level = "info";            // spdlog's names
    std::optional<unsigned> idle_exit_seconds; // 0: never; nullopt: it depends on who started us
    std::string runqemu_locks = default_runqemu_locks;
    std::string runqemu_locks_at; // where the service sees that directory; empty: there
    ServiceUser user;
    bool end_leases = false; // instead of serving
};

// nullopt: never leave.
std::optional<unsigned> seconds_until_leaving(const DaemonOptions &options, bool started_on_demand);

// "pool 192.168.0.0/16 is 10.0.0.0/16 now": a text for each setting in which they differ.
std::vector<std::string> differences(const DaemonOptions &before, const DaemonOptions &now);

// nullopt: the text asked for (--help, --version) was printed to stdout and there is nothing else to do.
// Throws TapError invalid_argument that names the option or the line's key. `default_config` may be absent;
// a file named by --config may not.
std::optional<DaemonOptions> parse_daemon_options(int argc, const char *const *argv,
                                                  const std::string &default_config = default_config_path);

} // namespace qemutap
