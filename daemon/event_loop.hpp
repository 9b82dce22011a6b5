// SPDX-License-Identifier: MIT
//
// The loop of the daemon's only thread, on sd-event(3). It pumps the bus, watches the network's events and the signals,
// serves the service manager's watchdog, takes a turn after every event, and leaves when no messages come.

#pragma once

#include "common/sdbus_compat.hpp"
#include "daemon/core/drain_watch.hpp"

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

// The part of the network's events that the loop needs.
struct NetworkEvents {
    int fd = -1;
    std::function<std::uint64_t()> floods;
};

// A descriptor and the function to call when it is readable. The function must not throw.
struct Watched {
    int fd = -1;
    std::function<void()> hear;
};

// The result of a turn.
struct TurnResult {
    bool done = true;                       // false: it failed and must run again after a pause
    std::optional<std::uint64_t> next_usec; // when it must run again if no event comes, CLOCK_BOOTTIME
    bool owes_answers = false;              // callers wait for answers
    // The time without a message after which the loop may end; nullopt: it must continue.
    std::optional<std::uint64_t> leave_after_usec;
};

// The functions that the loop calls. None may throw, except `retire` if the bus is lost.
struct LoopTasks {
    std::function<TurnResult()> turn; // once after the events that woke the loop, however many
    std::function<void()> reload;     // on SIGHUP
    // Called before the loop ends because no messages came. It gives the bus name back, so that the bus keeps the next
    // call for a successor. The loop still answers earlier calls.
    std::function<void()> retire;
};

class EventLoop {
public:
    // Throws std::system_error.
    EventLoop(sdbus::IConnection &connection, NetworkEvents network, Watched hand_overs, LoopTasks tasks);

    // Runs until SIGTERM, SIGINT or a time without messages (returns EXIT_SUCCESS), or until the bus is lost or no
    // longer reads (returns EXIT_FAILURE).
    int run();

    // Makes run() return this status.
    void end(int status);

    // Call it after run(). Returns true if the bus has read everything, or is lost. Waits two seconds at most.
    bool flush_bus();

private:
    void watch_signals();
    void watch_bus();
    void watch_network();
    void watch_hand_overs();
    void watch_turns();
    void watch_silence();
    int prepare_bus();
    int pump_bus();
    void watch_draining();
    int check_draining();
    int hear_network();
    int pause_network(std::uint64_t usec);
    int take_turn();
    int set_deadline(std::optional<std::uint64_t> usec);
    int set_leaving(std::optional<std::uint64_t> after_usec);
    int leave();
    std::uint64_t now_usec() const;

    sdbus::IConnection &connection_;
    NetworkEvents network_;
    Watched hand_overs_;
    LoopTasks tasks_;
    std::uint64_t floods_seen_ = 0;
    std::uint64_t last_message_usec_ = 0; // CLOCK_MONOTONIC
    bool drained_ = true;                 // no received message waits to be processed
    DrainWatch draining_;                 // watches whether the bus reads
    bool retired_ = false;
    std::unique_ptr<sd_event, EventDeleter> event_;
    // Declared after event_, because the sources must be destroyed first.
    EventSource bus_io_;
    EventSource bus_more_io_;
    EventSource bus_time_;
    EventSource drain_tick_;
    EventSource network_io_;
    EventSource network_pause_;
    EventSource hand_overs_io_;
    EventSource turns_;
    EventSource first_turn_;
    EventSource deadline_;
    EventSource silence_;
};

} // namespace qemutap
