// SPDX-License-Identifier: MIT
//
// The one thread: sd-event(3) with the bus pumped from it, the network's events, the signals, the service
// manager's watchdog, a turn after everything that happened, and leaving when nothing does.

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

// What the loop needs to know of the network's events.
struct NetworkEvents {
    int fd = -1;
    std::function<std::uint64_t()> floods;
};

// A descriptor, and what to do when it is readable; must not throw.
struct Watched {
    int fd = -1;
    std::function<void()> hear;
};

// What a turn came to.
struct TurnResult {
    bool done = true;                       // false: it failed and is to run again, after a pause
    std::optional<std::uint64_t> next_usec; // when it wants to run again without being woken, CLOCK_BOOTTIME
    bool owes_answers = false;              // callers wait
    // After how much time without a message the loop may end; nullopt: it must go on.
    std::optional<std::uint64_t> leave_after_usec;
};

// What the loop calls; none may throw, but `retire` if the bus is lost.
struct LoopTasks {
    std::function<TurnResult()> turn; // once after whatever woke the loop, however much it was
    std::function<void()> reload;     // on SIGHUP
    // Before the loop ends for want of messages: gives the bus name back, so that the bus keeps the next call for
    // our successor. What came before is still answered.
    std::function<void()> retire;
};

class EventLoop {
public:
    // Throws std::system_error.
    EventLoop(sdbus::IConnection &connection, NetworkEvents network, Watched hand_overs, LoopTasks tasks);

    // Until SIGTERM, SIGINT or for want of messages (EXIT_SUCCESS), or the bus is lost or reads nothing any more
    // (EXIT_FAILURE).
    int run();

    // Makes it end with this status.
    void end(int status);

    // After run(): whether the bus has read all that was to be written. Waits some seconds at most.
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
    bool drained_ = true;                 // no message is read and not dealt with
    DrainWatch draining_;                 // of the bus
    bool retired_ = false;
    std::unique_ptr<sd_event, EventDeleter> event_;
    // After event_: sources go first.
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
