// SPDX-License-Identifier: MIT
//
// A match on the bus's news, switched on and off, and one list of names.

#include "daemon/bus/attendance.hpp"

#include "daemon/log.hpp"

#include <exception>
#include <utility>
#include <vector>

namespace qemutap {

namespace {

constexpr const char *bus_driver = "org.freedesktop.DBus";
constexpr const char *bus_interface = bus_driver;
constexpr const char *departure_rule = "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                                       "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''";
constexpr std::size_t bus_digits = 8;

bool is_unique(const std::string &name)
{
    return !name.empty() && name.front() == ':';
}

} // namespace

// sd-bus tells the bus of a match as it is added, and waits for it. That is done once, here: later it would have to
// read all that others sent us meanwhile. The bus's side is taken back until somebody attends a lease.
Attendance::Attendance(sdbus::IConnection &connection, const std::string &bus_id, AttendanceNews news)
    : bus_{"@" + bus_id.substr(0, bus_digits)},
      news_{std::move(news)},
      proxy_{sdbus::createProxy(connection, BusServiceName{"org.freedesktop.DBus"},
                                BusObjectPath{"/org/freedesktop/DBus"})},
      departures_{add_match(connection, departure_rule, [this](auto &&message) {
          try {
              // sd-bus leaves it to the bus who the sender is, and what comes to us alone is asked for by no match.
              if (std::string{message.getSender()} != bus_driver) // sdbus-c++ 2 gives it as a pointer
                  return;
              std::string name;
              message >> name;
              if (is_unique(name))
                  news_.left(attendant(name));
          } catch (const std::exception &problem) {
              log_debug(std::string{"news of the bus's without a name: "} + problem.what());
          }
      })}
{
    tell_bus("RemoveMatch");
}

void Attendance::watch(bool any) noexcept
{
    if (any == watching_)
        return;
    try {
        tell_bus(any ? "AddMatch" : "RemoveMatch");
        // In this order: who leaves after the list was made is told of.
        if (any)
            ask_who_is_present();
        watching_ = any;
    } catch (const std::exception &problem) {
        log_warning(std::string{"the bus can't be asked who is there: "} + problem.what());
    }
}

void Attendance::tell_bus(const char *method)
{
    proxy_->callMethodAsync(method)
        .onInterface(bus_interface)
        .withArguments(std::string{departure_rule})
        .uponReplyInvoke([this](BusReplyError error) {
            if (!error)
                return;
            log_warning("the bus does not tell who leaves: " + error->getMessage());
            watching_ = false;
        });
}

void Attendance::ask_who_is_present()
{
    proxy_->callMethodAsync("ListNames")
        .onInterface(bus_interface)
        .uponReplyInvoke([this](BusReplyError error, const std::vector<std::string> &names) {
            if (error) {
                log_warning("the bus does not tell who is there: " + error->getMessage());
                watching_ = false;
                return;
            }
            std::set<std::string> present;
            for (const auto &name : names)
                if (is_unique(name))
                    present.insert(attendant(name));
            news_.present(present);
        });
}

} // namespace qemutap
