// SPDX-License-Identifier: MIT
//
// The running service: connects its parts, and defines the work of a turn, of a reload and of the end.

#pragma once

#include "daemon/bus/bus_name.hpp"
#include "daemon/bus/manager.hpp"
#include "daemon/core/tap_service.hpp"
#include "daemon/event_loop.hpp"
#include "daemon/host/links.hpp"
#include "daemon/host/skip_files.hpp"
#include "daemon/host/tun.hpp"
#include "daemon/options.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace qemutap {

class Daemon {
public:
    // Reads the options again. Throws what parse_daemon_options() throws.
    using ReadOptions = std::function<DaemonOptions()>;

    // Throws std::runtime_error if there is no bus, and std::system_error if the kernel refuses a step.
    Daemon(DaemonOptions options, ReadOptions read_options);

    // Serves until the service ends, then returns the exit status. Leases stay.
    int run();

private:
    TurnResult take_turn();
    bool keep_settings();
    void reload();
    void retire();
    void end_displaced();
    void prepare_deletions();
    std::optional<std::uint64_t> leave_after_usec() const;

    DaemonOptions options_;
    ReadOptions read_options_;
    Tun tun_;
    Links links_;
    SkipFiles marks_;
    TapService service_;
    std::unique_ptr<sdbus::IConnection> connection_;
    BusName name_;
    Manager manager_;
    EventLoop loop_;
    bool retired_ = false;
};

} // namespace qemutap
