// SPDX-License-Identifier: MIT
//
// RequestName by hand: sdbus-c++ has flags of its own (D-Bus Specification, "org.freedesktop.DBus.RequestName").

#include "daemon/bus/bus_name.hpp"

#include "common/quote.hpp"
#include "contract/bus_names.hpp"
#include "daemon/log.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace qemutap {

namespace {

constexpr const char *bus_driver = "org.freedesktop.DBus";
constexpr const char *bus_interface = bus_driver;
constexpr const char *loss_rule = "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                                  "interface='org.freedesktop.DBus',member='NameLost'";

constexpr std::uint32_t allow_replacement = 1;
constexpr std::uint32_t replace_existing = 2;
constexpr std::uint32_t do_not_queue = 4;
constexpr std::uint32_t primary_owner = 1;
constexpr std::uint32_t already_owner = 4;

constexpr std::chrono::seconds patience{3};
// What the bus and sd-bus call a call without an answer, and a name without an owner.
constexpr std::array<std::string_view, 5> no_answer{
    "org.freedesktop.DBus.Error.NoReply",        "org.freedesktop.DBus.Error.Timeout",        "System.Error.ETIMEDOUT",
    "org.freedesktop.DBus.Error.NameHasNoOwner", "org.freedesktop.DBus.Error.ServiceUnknown",
};

std::runtime_error refusal(const std::string &reason)
{
    return std::runtime_error{std::string{"can't get the bus name "} + bus_name + ": " + reason +
                              "; is another qemu-tapd running, or the bus policy " + bus_name + ".conf not installed?"};
}

} // namespace

BusName::BusName(sdbus::IConnection &connection, std::function<void()> lost)
    : connection_{connection},
      bus_{sdbus::createProxy(connection, BusServiceName{bus_driver}, BusObjectPath{"/org/freedesktop/DBus"})},
      lost_{std::move(lost)},
      losses_{add_match(connection, loss_rule, [this](auto &&message) {
          try {
              // sd-bus does not compare the sender of what comes to us alone.
              std::string name;
              if (std::string{message.getSender()} != bus_driver)
                  return;
              message >> name;
              if (name == bus_name && std::exchange(owned_, false))
                  lost_();
          } catch (const std::exception &problem) {
              log_debug(std::string{"a loss without a name: "} + problem.what());
          }
      })}
{}

void BusName::take()
{
    try {
        if (request(allow_replacement | do_not_queue))
            return;
        if (does_owner_answer())
            throw refusal("another process owns it and answers");
        log_warning(std::string{"the owner of the bus name "} + bus_name + " does not answer within " +
                    std::to_string(patience.count()) + " s: taking the name from it");
        if (!request(allow_replacement | do_not_queue | replace_existing))
            throw refusal("another process owns it, does not answer and can't be replaced");
    } catch (const sdbus::Error &error) {
        throw refusal(error.getMessage());
    }
}

void BusName::give_back()
{
    owned_ = false;
    connection_.releaseName(BusServiceName{bus_name});
}

bool BusName::request(std::uint32_t flags)
{
    std::uint32_t result = 0;
    bus_->callMethod("RequestName")
        .onInterface(bus_interface)
        .withArguments(std::string{bus_name}, flags)
        .storeResultsTo(result);
    owned_ = result == primary_owner || result == already_owner;
    return owned_;
}

// Asked by its unique name: a call to the name itself would have the bus start a service, if the owner left.
bool BusName::does_owner_answer()
{
    try {
        std::string owner;
        bus_->callMethod("GetNameOwner")
            .onInterface(bus_interface)
            .withArguments(std::string{bus_name})
            .storeResultsTo(owner);
        const auto peer = sdbus::createProxy(connection_, BusServiceName{owner}, BusObjectPath{object_path});
        peer->callMethod("Ping").onInterface("org.freedesktop.DBus.Peer").withTimeout(patience);
        return true;
    } catch (const sdbus::Error &error) {
        return std::find(no_answer.begin(), no_answer.end(), std::string{error.getName()}) == no_answer.end();
    }
}

} // namespace qemutap
