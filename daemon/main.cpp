// SPDX-License-Identifier: MIT
//
// qemu-tapd, from its options to its last log line.

#include "common/bus_names.hpp"
#include "common/error.hpp"
#include "common/quote.hpp"
#include "config.h"
#include "daemon/bus/manager.hpp"
#include "daemon/event_loop.hpp"
#include "daemon/host/links.hpp"
#include "daemon/host/tun.hpp"
#include "daemon/log.hpp"
#include "daemon/options.hpp"

#include <systemd/sd-daemon.h>
#include <systemd/sd-id128.h>

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string>
#include <system_error>

namespace qemutap {

namespace {

// Of this application alone, as machine-id(5) asks: hashed with the machine's id, never the id itself.
constexpr sd_id128_t application_id = SD_ID128_MAKE(3c, 1a, 5d, 0e, 52, 1f, 4b, 6f, 9d, 1c, 7f, 22, 90, 8e, 41, d7);

// Tells this machine's guests from another's on the same bridge; a machine without an id gets by without.
std::uint8_t machine_byte()
{
    sd_id128_t id{};
    return sd_id128_get_machine_app_specific(application_id, &id) < 0 ? std::uint8_t{0} : id.bytes[0];
}

std::string new_lease_id()
{
    std::array<unsigned char, 8> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        throw std::system_error{errno, std::generic_category(), "getrandom"};
    std::string id;
    for (const auto byte : bytes) {
        id += "0123456789abcdef"[byte >> 4];
        id += "0123456789abcdef"[byte & 15];
    }
    return id;
}

Moment now()
{
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

std::uint64_t to_usec(Moment moment)
{
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(moment).count());
}

// One sweep for all that happened since the last, and the answers that waited for it.
EventLoop::TurnResult take_turn(TapService &service, Manager &manager)
{
    std::exception_ptr problem;
    try {
        for (const auto &[name, tag] : service.sweep())
            log_info("ended: " + quote(name) + " lease " + tag.lease + " uid " + std::to_string(tag.uid) + " label " +
                     quote(tag.label));
    } catch (const std::exception &error) {
        log_error(std::string{"sweeping: "} + error.what());
        problem = std::current_exception();
    }
    manager.answer_releases(problem);
    const auto next = service.next_deadline();
    return {!problem, next ? std::optional{to_usec(*next) + 1} : std::nullopt};
}

std::unique_ptr<sdbus::IConnection> connect()
{
    try {
        return sdbus::createSystemBusConnection();
    } catch (const sdbus::Error &error) {
        throw std::runtime_error{"can't connect to the system bus: " + error.getMessage() + "; is dbus running?"};
    }
}

void take_name(sdbus::IConnection &connection)
{
    try {
        connection.requestName(BusServiceName{bus_name});
    } catch (const sdbus::Error &error) {
        throw std::runtime_error{std::string{"can't get the bus name "} + bus_name + ": " + error.getMessage() +
                                 "; is another qemu-tapd running, or the bus policy " + bus_name +
                                 ".conf not installed?"};
    }
}

int run(const DaemonOptions &options)
{
    open_log(options.log_level);
    const AddressPlan plan{options.plan, machine_byte()};
    Tun tun;
    Links links;
    TapService service{plan, options.limits, tun, links, new_lease_id, now};
    const auto connection = connect();
    Manager manager{*connection, service, {QEMU_TAPCTL_VERSION, options.plan.pool, options.plan.prefix_length, [&] {
                                               return tun.has_vhost();
                                           }}};
    EventLoop loop{*connection, {links.view().fd(), [&] { return links.view().losses(); }}, [&] {
                       return take_turn(service, manager);
                   }};
    take_name(*connection);
    log_info("serving pool " + options.plan.pool.text() + " as subnets of /" +
             std::to_string(options.plan.prefix_length) + ", " + plan.device_name(plan.first_index()) + " to " +
             plan.device_name(plan.last_index()) + "; leases found: " + std::to_string(service.leases({}).size()));
    sd_notify(0, "READY=1");
    const int status = loop.run();
    sd_notify(0, "STOPPING=1");
    take_turn(service, manager); // what was promised in the last turn is done
    log_info("ending; leases stay");
    return status;
}

} // namespace

} // namespace qemutap

int main(int argc, char **argv)
{
    using namespace qemutap;
    try {
        const auto options = parse_daemon_options(argc, argv);
        return options ? run(*options) : 0;
    } catch (const TapError &error) {
        std::fprintf(stderr, "qemu-tapd: %s\n", error.what());
        return exit_status(error.code());
    } catch (const std::exception &error) {
        std::fprintf(stderr, "qemu-tapd: %s\n", error.what());
        return exit_status(ErrorCode::failed);
    }
}
