// SPDX-License-Identifier: MIT
//
// Starts and ends the service so that a caller always reaches a running service or makes the bus start one.

#include "daemon/daemon.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"
#include "config.h"
#include "contract/bus_names.hpp"
#include "daemon/log.hpp"
#include "daemon/machine.hpp"
#include "daemon/service_manager.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace qemutap {

namespace {

std::uint64_t to_usec(Moment moment)
{
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(moment).count());
}

std::unique_ptr<sdbus::IConnection> connect()
{
    try {
        return sdbus::createSystemBusConnection();
    } catch (const sdbus::Error &error) {
        throw std::runtime_error{"can't connect to the system bus: " + error.getMessage() + "; is dbus running?"};
    }
}

std::string in_words(const AddressPlan &plan)
{
    const auto &pool = plan.pool();
    return "pool " + pool.block().text() + " as subnets of /" + std::to_string(pool.prefix_length()) + ", " +
           pool.device_name(pool.first_index()) + " to " + pool.device_name(pool.last_index());
}

std::string in_words(const EndedTap &tap)
{
    auto text = quote(tap.name) + " lease " + tap.tag.lease + " uid " + std::to_string(tap.tag.uid) + " label " +
                quote(tap.tag.label);
    if (tap.queues <= tap.tag.queues)
        return text;
    return text + ": " + std::to_string(tap.queues) + " queues were attached, and " + std::to_string(tap.tag.queues) +
           " granted";
}

std::string in_words(const PutBack &put_back)
{
    const auto &setting = tap_settings.at(put_back.row);
    return "put back " + full_name(setting, put_back.device) + ": another program had changed it from " +
           std::to_string(put_back.promised) + " to " + std::to_string(put_back.found) +
           (put_back.more != 0
                ? "; and so often on this or other taps since the last such line: " + std::to_string(put_back.more)
                : "");
}

std::string in_words(const HostWideSetting &setting)
{
    const auto name = "net.ipv4.conf.all." + std::string{setting.name};
    return name + " of " + std::to_string(setting.harmful_from) +
           " or more counts on taps too: " + std::string{setting.effect} + "; `sysctl -w " + name +
           "=0` leaves each device its own value";
}

// Asks the bus to activate a new instance (StartServiceByName). Does not wait for the reply, which would arrive after
// this process ends.
void ask_for_successor(sdbus::IConnection &connection)
{
    const auto bus =
        sdbus::createProxy(connection, BusServiceName{"org.freedesktop.DBus"}, BusObjectPath{"/org/freedesktop/DBus"});
    bus->callMethodAsync("StartServiceByName")
        .onInterface("org.freedesktop.DBus")
        .withArguments(std::string{bus_name}, std::uint32_t{0})
        .uponReplyInvoke([](BusReplyError, std::uint32_t) {});
}

} // namespace

Daemon::Daemon(DaemonOptions options, ReadOptions read_options)
    : options_{std::move(options)},
      read_options_{std::move(read_options)},
      marks_{options_.runqemu_locks, log_warning, ::geteuid(), options_.runqemu_locks_at},
      service_{AddressPlan{options_.plan, machine_byte()}, options_.limits, tun_, links_, marks_, new_lease_id, now},
      connection_{connect()},
      name_{*connection_, [this] { end_displaced(); }},
      manager_{*connection_, service_, {QEMU_TAPCTL_VERSION, [this] { return tun_.vhost_problem(); }, now}},
      loop_{*connection_,
            {links_.fd(), [this] { return links_.view().floods(); }},
            {manager_.hand_overs_fd(), [this] { manager_.settle_hand_overs(); }},
            {[this] { return take_turn(); }, [this] { reload(); }, [this] { retire(); }}}
{}

int Daemon::run()
{
    name_.take();
    prepare_deletions();
    service_.restore_marks();
    log_info("serving " + in_words(service_.plan()) + "; leases found: " + std::to_string(service_.leases({}).size()));
    notify_ready();
    const int status = loop_.run();
    if (!retired_)
        notify_stopping();
    take_turn(); // finish what the last turn promised
    // A call that arrived while this process retired may have created a lease that a process must watch.
    if (retired_ && service_.needs_watching())
        ask_for_successor(*connection_);
    log_info(retired_ ? "idle: ending until the next call; leases stay" : "ending; leases stay");
    // When sd-bus closes a connection, it waits until it has written everything. A bus that no longer reads would make
    // it wait for ever.
    if (!loop_.flush_bus())
        std::_Exit(status);
    return status;
}

// If this fails, each deletion starts its own process.
void Daemon::prepare_deletions()
{
    try {
        links_.prepare_deletions();
    } catch (const std::system_error &error) {
        log_warning(std::string{"no processes for deletions yet: "} + error.what());
    }
}

// The other process asked this one whether it still serves before it took the name, and got no answer in time.
void Daemon::end_displaced()
{
    log_error(std::string{"another process has taken the bus name "} + bus_name + ": ending; leases stay");
    loop_.end(EXIT_FAILURE);
}

// Sweeps once for everything that happened since the last turn, and sends the answers that waited for the sweep.
TurnResult Daemon::take_turn()
{
    std::exception_ptr problem;
    try {
        for (const auto &ended : service_.sweep())
            log_info("ended: " + in_words(ended));
    } catch (const std::exception &error) {
        log_error(std::string{"sweeping: "} + error.what());
        problem = std::current_exception();
    }
    manager_.answer_releases(problem);
    manager_.watch_attendants();
    TurnResult result;
    result.done = keep_settings() && !problem;
    const auto refusal = manager_.refuse_overdue();
    for (const auto &next : {service_.next_deadline(), refusal})
        if (next)
            result.next_usec = std::min(result.next_usec.value_or(UINT64_MAX), to_usec(*next) + 1);
    // While a retired process stays, no successor can start and serve new callers. So it does not wait for anyone to
    // type a password. It reports its end to each caller that has such a prompt open.
    result.owes_answers = manager_.owes_answers() || (!retired_ && manager_.is_prompting());
    if (!problem && !result.owes_answers && !service_.needs_watching())
        result.leave_after_usec = leave_after_usec();
    return result;
}

// Puts back the settings of this service's taps that other programs changed, and reports the settings of the host that
// override them. Returns false on failure.
bool Daemon::keep_settings()
{
    try {
        const auto report = service_.keep_settings();
        for (const auto &put_back : report.put_back)
            log_warning(in_words(put_back));
        for (const auto &problem : report.problems)
            log_error("keeping the taps' settings: " + problem);
        for (const auto row : report.host_wide)
            log_warning(in_words(host_wide_settings.at(row)));
        return true;
    } catch (const std::exception &error) {
        log_error(std::string{"keeping the taps' settings: "} + error.what());
        return false;
    }
}

std::optional<std::uint64_t> Daemon::leave_after_usec() const
{
    const auto seconds = seconds_until_leaving(options_, is_started_on_demand());
    return seconds ? std::optional{std::uint64_t{*seconds} * 1'000'000} : std::nullopt;
}

void Daemon::reload()
{
    notify_reloading();
    try {
        const auto read = read_options_();
        AddressPlan plan{read.plan, machine_byte()};
        const auto changes = differences(options_, read);
        service_.reconfigure(std::move(plan), read.limits);
        options_ = read;
        // Log the changes at the wider of the old and the new level, so that an administrator who asks for fewer lines
        // still sees the change.
        if (options_.log_level == "debug" || options_.log_level == "info")
            set_log_level(options_.log_level);
        for (const auto &change : changes)
            log_info("reloaded: " + change);
        if (changes.empty())
            log_info("reloaded: nothing changed");
        set_log_level(options_.log_level);
    } catch (const std::exception &error) {
        log_error(std::string{"not reloaded, the options stay as they were: "} + error.what());
    }
    notify_ready();
}

// Notifies the service manager first, then gives the bus name back. A call that arrives when the name has no owner
// makes the manager start a new process. The manager must know by then that this process is ending: it ignores a
// request to start a service that it believes to be running.
void Daemon::retire()
{
    notify_stopping();
    await_manager();
    name_.give_back();
    retired_ = true;
}

} // namespace qemutap
