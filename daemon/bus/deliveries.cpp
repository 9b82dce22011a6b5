// SPDX-License-Identifier: MIT
//
// A match on the bus's own errors, a call that is answered after them, and a question about each that is meant.

#include "daemon/bus/deliveries.hpp"

#include "daemon/bus/serials.hpp"
#include "daemon/log.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace qemutap {

namespace {

constexpr const char *bus_driver = "org.freedesktop.DBus";
constexpr const char *bus_interface = bus_driver;

} // namespace

Deliveries::Deliveries(sdbus::IConnection &connection)
    : bus_{sdbus::createProxy(connection, BusServiceName{bus_driver}, BusObjectPath{"/org/freedesktop/DBus"})},
      errors_{add_match(connection, "type='error',sender='org.freedesktop.DBus'",
                        [this](auto &&message) { hear_error(message); })}
{}

void Deliveries::watch(const std::string &receiver, std::function<void()> undelivered)
{
    const auto open =
        open_.insert(open_.end(), {.receiver = receiver, .undelivered = std::move(undelivered), .serial = 0});
    try {
        const auto call = bus_->createMethodCall(BusInterfaceName{bus_interface}, BusMethodName{"GetId"});
        call_async(*bus_, call, [this, open] {
            if (!open->doubted)
                open_.erase(open);
        });
        // One connection numbers its messages one by one, and this call was sent right after the answer.
        open->serial = own_serial(call).value_or(1) - 1;
    } catch (const sdbus::Error &error) {
        log_debug("the bus can't be asked for a delivery: " + error.getMessage());
        open_.erase(open);
    }
}

// sd-bus does not compare the sender: a message to one connection comes whether its rule fits or not.
void Deliveries::hear_error(const sdbus::Message &error)
{
    try {
        const auto serial = answered_serial(error);
        if (!serial || std::string{error.getSender()} != bus_driver)
            return;
        const auto meant = std::find_if(open_.begin(), open_.end(),
                                        [&](const Open &open) { return open.serial == *serial && !open.doubted; });
        if (meant != open_.end())
            end_if_gone(meant);
    } catch (const std::exception &problem) {
        log_debug(std::string{"an error of the bus that can't be read: "} + problem.what());
    }
}

void Deliveries::end_if_gone(Place open)
{
    open->doubted = true;
    try {
        bus_->callMethodAsync("NameHasOwner")
            .onInterface(bus_interface)
            .withArguments(open->receiver)
            .uponReplyInvoke([this, open](BusReplyError error, bool there) {
                if (!error && !there)
                    open->undelivered();
                open_.erase(open);
            });
    } catch (const sdbus::Error &error) {
        log_debug("the bus can't be asked for a caller: " + error.getMessage());
        open->doubted = false;
    }
}

} // namespace qemutap
