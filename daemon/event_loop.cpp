// SPDX-License-Identifier: MIT
//
// Creates the event sources and their callbacks. The loop pumps the bus itself instead of using sdbus-c++'s own
// attachment, which throws through sd-event's C frames when the bus is lost.

#include "daemon/event_loop.hpp"

#include "daemon/log.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <string>
#include <system_error>

namespace qemutap {

namespace {

// At most so many messages are answered before the taps that they released are deleted together.
constexpr int max_messages_per_turn = 64;
// The pause after a flood. A holder of a descriptor can cause tens of thousands of events a second and wake the daemon
// for each.
constexpr std::uint64_t network_pause_usec = 100'000;
// The pause after a turn that failed because of the kernel: the events that it did not read must not wake the daemon at
// once.
constexpr std::uint64_t retry_pause_usec = 1'000'000;
constexpr std::uint64_t bus_accuracy_usec = 1'000;
constexpr std::uint64_t drain_tick_usec = 1'000'000;
constexpr std::chrono::seconds flush_patience{2};
constexpr int flush_look_msec = 2;
constexpr std::uint64_t deadline_accuracy_usec = 100'000;
constexpr std::uint64_t silence_accuracy_usec = 10'000;

void require(int result, const char *what)
{
    if (result < 0)
        throw std::system_error{-result, std::generic_category(), what};
}

// How many bytes that were written to a Unix socket are unread; 0 if that is unknown.
int unread_on(int socket)
{
    int bytes = 0;
    return ::ioctl(socket, TIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

EventLoop *loop_of(void *userdata)
{
    return static_cast<EventLoop *>(userdata);
}

} // namespace

EventLoop::EventLoop(sdbus::IConnection &connection, NetworkEvents network, Watched hand_overs, LoopTasks tasks)
    : connection_{connection},
      network_{std::move(network)},
      hand_overs_{std::move(hand_overs)},
      tasks_{std::move(tasks)}
{
    sd_event *event = nullptr;
    require(sd_event_new(&event), "sd_event_new");
    event_.reset(event);
    watch_signals();
    watch_bus();
    watch_draining();
    watch_network();
    watch_hand_overs();
    watch_turns();
    watch_silence();
    require(sd_event_set_watchdog(event_.get(), 1), "sd_event_set_watchdog");
}

int EventLoop::run()
{
    const int result = sd_event_loop(event_.get());
    require(result, "event loop");
    return result;
}

void EventLoop::end(int status)
{
    sd_event_exit(event_.get(), status);
}

bool EventLoop::flush_bus()
{
    try {
        const auto until = std::chrono::steady_clock::now() + flush_patience;
        while (!draining_.is_stuck() && std::chrono::steady_clock::now() < until) {
            const auto bus = connection_.getEventLoopPollData();
            const bool is_writing = (bus.events & POLLOUT) != 0;
            if (!is_writing && unread_on(bus.fd) == 0)
                return true;
            // No descriptor signals that the peer has read the last byte, so look at short intervals.
            pollfd writable{bus.fd, POLLOUT, 0};
            if (::poll(&writable, is_writing ? 1 : 0, flush_look_msec) > 0)
                process_pending(connection_);
        }
        return false;
    } catch (const sdbus::Error &) {
        return true; // the bus is lost, so there is nothing to flush to
    }
}

void EventLoop::watch_signals()
{
    const auto reload = [](sd_event_source *, const signalfd_siginfo *, void *loop) {
        loop_of(loop)->tasks_.reload();
        return 0;
    };
    sigset_t heard;
    sigemptyset(&heard);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        sigaddset(&heard, signal);
        if (::sigprocmask(SIG_BLOCK, &heard, nullptr) != 0)
            throw std::system_error{errno, std::generic_category(), "sigprocmask"};
        // If the callback is null, sd-event ends the loop on the signal, with the userdata as exit status.
        const bool ending = signal != SIGHUP;
        require(sd_event_add_signal(event_.get(), nullptr, signal, ending ? nullptr : +reload, ending ? nullptr : this),
                "sd_event_add_signal");
    }
}

void EventLoop::watch_bus()
{
    const auto poll = connection_.getEventLoopPollData();
    sd_event_source *source = nullptr;
    const auto pump_io = [](sd_event_source *, int, std::uint32_t, void *loop) { return loop_of(loop)->pump_bus(); };
    const auto pump_time = [](sd_event_source *, std::uint64_t, void *loop) { return loop_of(loop)->pump_bus(); };
    require(sd_event_add_io(event_.get(), &source, poll.fd, 0, pump_io, this), "watching the bus");
    bus_io_.reset(source);
    require(
        sd_event_source_set_prepare(source, [](sd_event_source *, void *loop) { return loop_of(loop)->prepare_bus(); }),
        "watching the bus");
    require(sd_event_add_time(event_.get(), &source, CLOCK_MONOTONIC, 0, bus_accuracy_usec, pump_time, this),
            "watching the bus");
    bus_time_.reset(source);
#if QEMUTAP_SDBUS_2
    require(sd_event_add_io(event_.get(), &source, poll.eventFd, EPOLLIN, pump_io, this), "watching the bus");
    bus_more_io_.reset(source);
#endif
}

void EventLoop::watch_draining()
{
    sd_event_source *source = nullptr;
    const auto tick = [](sd_event_source *, std::uint64_t, void *loop) { return loop_of(loop)->check_draining(); };
    require(sd_event_add_time(event_.get(), &source, CLOCK_MONOTONIC, 0, bus_accuracy_usec, tick, this),
            "watching the bus");
    drain_tick_.reset(source);
    require(sd_event_source_set_enabled(source, SD_EVENT_OFF), "watching the bus");
}

// Counts one tick and ends the loop if the bus is stuck. The next prepare_bus() sets the next tick as long as bytes are
// unread.
int EventLoop::check_draining()
{
    draining_.tick(unread_on(connection_.getEventLoopPollData().fd));
    if (!draining_.is_stuck())
        return 0;
    log_error("the bus has read nothing of what we wrote for " + std::to_string(DrainWatch::limit_seconds) +
              " s, as it does when callers leave too much unread: ending, so that a new qemu-tapd can serve; leases "
              "stay");
    return sd_event_exit(event_.get(), EXIT_FAILURE);
}

// Before each wait, sd-bus states what it waits for: room to write, or the time limit of a call.
int EventLoop::prepare_bus()
{
    try {
        const auto poll = connection_.getEventLoopPollData();
        require(sd_event_source_set_io_events(bus_io_.get(), static_cast<std::uint32_t>(poll.events)), "bus events");
        draining_.observe(unread_on(poll.fd));
        int ticking = SD_EVENT_OFF;
        require(sd_event_source_get_enabled(drain_tick_.get(), &ticking), "bus time");
        if (draining_.is_waiting() && ticking == SD_EVENT_OFF) {
            require(sd_event_source_set_time_relative(drain_tick_.get(), drain_tick_usec), "bus time");
            require(sd_event_source_set_enabled(drain_tick_.get(), SD_EVENT_ONESHOT), "bus time");
        }
        const auto deadline = bus_deadline_usec(poll);
        if (deadline != UINT64_MAX)
            require(sd_event_source_set_time(bus_time_.get(), deadline), "bus time");
        return sd_event_source_set_enabled(bus_time_.get(), deadline == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
    } catch (const std::exception &problem) {
        log_error(std::string{"the bus is lost: "} + problem.what());
        return sd_event_exit(event_.get(), EXIT_FAILURE);
    }
}

int EventLoop::pump_bus()
{
    try {
        draining_.observe(unread_on(connection_.getEventLoopPollData().fd));
        int messages = 0;
        while (messages < max_messages_per_turn && process_pending(connection_))
            ++messages;
        if (messages > 0)
            last_message_usec_ = now_usec();
        drained_ = messages < max_messages_per_turn;
        return 0;
    } catch (const std::exception &problem) {
        log_error(std::string{"the bus is lost: "} + problem.what());
        return sd_event_exit(event_.get(), EXIT_FAILURE);
    }
}

void EventLoop::watch_network()
{
    sd_event_source *source = nullptr;
    require(sd_event_add_io(
                event_.get(), &source, network_.fd, EPOLLIN,
                [](sd_event_source *, int, std::uint32_t, void *loop) { return loop_of(loop)->hear_network(); }, this),
            "watching the network");
    network_io_.reset(source);
    floods_seen_ = network_.floods();
    const auto end_pause = [](sd_event_source *, std::uint64_t, void *loop) {
        return sd_event_source_set_enabled(loop_of(loop)->network_io_.get(), SD_EVENT_ON);
    };
    require(sd_event_add_time_relative(event_.get(), &source, CLOCK_MONOTONIC, 0, 1, end_pause, this),
            "watching the network");
    network_pause_.reset(source);
    require(sd_event_source_set_enabled(source, SD_EVENT_OFF), "watching the network");
}

// Does not read the events: the turn that follows reads them.
int EventLoop::hear_network()
{
    if (network_.floods() == std::exchange(floods_seen_, network_.floods()))
        return 0;
    log_debug("network events come too fast; listening more slowly");
    return pause_network(network_pause_usec);
}

int EventLoop::pause_network(std::uint64_t usec)
{
    sd_event_source_set_enabled(network_io_.get(), SD_EVENT_OFF);
    sd_event_source_set_time_relative(network_pause_.get(), usec);
    return sd_event_source_set_enabled(network_pause_.get(), SD_EVENT_ONESHOT);
}

void EventLoop::watch_hand_overs()
{
    sd_event_source *source = nullptr;
    const auto hear = [](sd_event_source *, int, std::uint32_t, void *loop) {
        loop_of(loop)->hand_overs_.hear();
        return 0;
    };
    require(sd_event_add_io(event_.get(), &source, hand_overs_.fd, EPOLLIN, hear, this), "watching hand-overs");
    hand_overs_io_.reset(source);
}

void EventLoop::watch_turns()
{
    sd_event_source *source = nullptr;
    const auto take_turn = [](sd_event_source *, void *loop) { return loop_of(loop)->take_turn(); };
    require(sd_event_add_post(event_.get(), &source, take_turn, this), "sd_event_add_post");
    turns_.reset(source);
    // Dispatch this source once at the start. The turn that follows sweeps what a predecessor left.
    require(sd_event_add_defer(
                event_.get(), &source, [](sd_event_source *, void *) { return 0; }, nullptr),
            "sd_event_add_defer");
    first_turn_.reset(source);
    const auto on_deadline = [](sd_event_source *, std::uint64_t, void *) { return 0; };
    require(sd_event_add_time(event_.get(), &source, CLOCK_BOOTTIME, 0, deadline_accuracy_usec, on_deadline, this),
            "sd_event_add_time");
    deadline_.reset(source);
    require(sd_event_source_set_enabled(source, SD_EVENT_OFF), "sd_event_add_time");
}

int EventLoop::take_turn()
{
    const auto result = tasks_.turn();
    if (retired_ && drained_ && !result.owes_answers)
        return sd_event_exit(event_.get(), EXIT_SUCCESS);
    if (!result.done) {
        set_leaving(std::nullopt);
        return pause_network(retry_pause_usec); // a turn follows the end of the pause
    }
    const int set = set_deadline(result.next_usec);
    return set < 0 || retired_ ? set : set_leaving(result.leave_after_usec);
}

int EventLoop::set_deadline(std::optional<std::uint64_t> usec)
{
    if (!usec)
        return sd_event_source_set_enabled(deadline_.get(), SD_EVENT_OFF);
    sd_event_source_set_time(deadline_.get(), *usec);
    return sd_event_source_set_enabled(deadline_.get(), SD_EVENT_ONESHOT);
}

std::uint64_t EventLoop::now_usec() const
{
    std::uint64_t usec = 0;
    sd_event_now(event_.get(), CLOCK_MONOTONIC, &usec);
    return usec;
}

void EventLoop::watch_silence()
{
    sd_event_source *source = nullptr;
    const auto on_silence = [](sd_event_source *, std::uint64_t, void *loop) { return loop_of(loop)->leave(); };
    require(sd_event_add_time(event_.get(), &source, CLOCK_MONOTONIC, 0, silence_accuracy_usec, on_silence, this),
            "sd_event_add_time");
    silence_.reset(source);
    // Use a lower priority than the bus: a message that has arrived by then is a reason to stay.
    require(sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IDLE), "sd_event_source_set_priority");
    require(sd_event_source_set_enabled(source, SD_EVENT_OFF), "sd_event_add_time");
    last_message_usec_ = now_usec();
}

int EventLoop::set_leaving(std::optional<std::uint64_t> after_usec)
{
    if (!after_usec)
        return sd_event_source_set_enabled(silence_.get(), SD_EVENT_OFF);
    sd_event_source_set_time(silence_.get(), last_message_usec_ + *after_usec);
    return sd_event_source_set_enabled(silence_.get(), SD_EVENT_ONESHOT);
}

// The bus sends the reply to the release of the name after all calls that were sent to the name. So these calls have
// been read when the reply arrives.
int EventLoop::leave()
{
    try {
        tasks_.retire();
        retired_ = true;
        return pump_bus(); // the next turn ends the loop, or the turn after the last answer
    } catch (const std::exception &problem) {
        log_error(std::string{"the bus is lost: "} + problem.what());
        return sd_event_exit(event_.get(), EXIT_FAILURE);
    }
}

} // namespace qemutap
