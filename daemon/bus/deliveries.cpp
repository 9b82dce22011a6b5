// SPDX-License-Identifier: MIT
//
// A match on the bus's own errors, and a call that is answered behind them.

#include "daemon/bus/deliveries.hpp"

#include "daemon/log.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace qemutap {

namespace {

// dbus-daemon's words differ with the kind of message; the unique name stands between spaces or quotes in all of them.
bool names(const std::string &text, const std::string &unique_name)
{
    const auto at = text.find(unique_name);
    const auto behind = at == std::string::npos ? at : at + unique_name.size();
    return at != std::string::npos && (behind == text.size() || text[behind] == ' ' || text[behind] == '"');
}

} // namespace

Deliveries::Deliveries(sdbus::IConnection &connection)
    : bus_{sdbus::createProxy(connection, BusServiceName{"org.freedesktop.DBus"},
                              BusObjectPath{"/org/freedesktop/DBus"})},
      errors_{add_match(connection, "type='error',sender='org.freedesktop.DBus'", [this](auto &&message) {
          try {
              std::string text;
              message >> text;
              hear(text);
          } catch (const std::exception &problem) {
              log_debug(std::string{"an error of the bus's without a text: "} + problem.what());
          }
      })}
{}

void Deliveries::watch(const std::string &receiver, std::function<void()> undelivered)
{
    const auto open = open_.insert(open_.end(), {receiver, std::move(undelivered)});
    try {
        bus_->callMethodAsync("GetId")
            .onInterface("org.freedesktop.DBus")
            .uponReplyInvoke([this, open](BusReplyError, const std::string &) { open_.erase(open); });
    } catch (const sdbus::Error &error) {
        log_debug("the bus can't be asked for a delivery: " + error.getMessage());
        open_.erase(open);
    }
}

// Of several answers to one receiver the first that is open is meant: those before it have been delivered.
void Deliveries::hear(const std::string &text)
{
    const auto meant = std::find_if(open_.begin(), open_.end(),
                                    [&](const Open &open) { return open.undelivered && names(text, open.receiver); });
    if (meant != open_.end())
        std::exchange(meant->undelivered, nullptr)();
}

} // namespace qemutap
