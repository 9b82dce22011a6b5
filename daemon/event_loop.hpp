// SPDX-License-Identifier: MIT
//
// The one thread: sd-event(3) with the bus pumped from it, the network's events, the signals that end the
// daemon, and a turn after everything that happened.

#pragma once

#include "common/sdbus_compat.hpp"

#include <systemd/sd-event.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace qemutap {

struct EventDeleter {
    void operator()(sd_event *event) const { sd_event_unref(event); }
    void operator()(sd_event_source *source) const { sd_event_source_disable_unref(source); }
};
using EventSource = std::unique_ptr<sd_event_source, EventDeleter>;

// What the loop needs to know of the network's events.
struct NetworkEvents {
    int fd = -1;
    std::function<std::uint64_t()> losses;
};

class EventLoop {
public:
    struct TurnResult {
        bool done = true;                       // false: it failed and is to run again, after a pause
        std::optional<std::uint64_t> next_usec; // when it wants to run again without being woken, CLOCK_BOOTTIME
    };
    // Runs once after whatever woke the loop, however much it was; must not throw.
    using Turn = std::function<TurnResult()>;
    // Throws std::system_error.
    EventLoop(sdbus::IConnection &connection, NetworkEvents network, Turn turn);

    // Until SIGTERM or SIGINT (EXIT_SUCCESS), or the bus is lost (EXIT_FAILURE).
    int run();

private:
    void watch_signals();
    void watch_bus();
    void watch_network();
    void watch_turns();
    int prepare_bus();
    int pump_bus();
    int hear_network();
    int pause_network(std::uint64_t usec);
    int take_turn();

    sdbus::IConnection &connection_;
    NetworkEvents network_;
    Turn turn_;
    std::uint64_t losses_seen_ = 0;
    std::unique_ptr<sd_event, EventDeleter> event_;
    // After event_: sources go first.
    EventSource bus_io_;
    EventSource bus_more_io_;
    EventSource bus_time_;
    EventSource network_io_;
    EventSource network_pause_;
    EventSource turns_;
    EventSource first_turn_;
    EventSource deadline_;
};

} // namespace qemutap
