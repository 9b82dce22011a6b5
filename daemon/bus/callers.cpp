// SPDX-License-Identifier: MIT
//
// Two questions to the message bus itself (D-Bus Specification, "Message Bus Messages").

#include "daemon/bus/callers.hpp"

#include "common/error.hpp"

namespace qemutap {

namespace {

constexpr const char *bus_interface = "org.freedesktop.DBus";

} // namespace

Callers::Callers(sdbus::IConnection &connection)
    : bus_{sdbus::createProxy(connection, BusServiceName{"org.freedesktop.DBus"},
                              BusObjectPath{"/org/freedesktop/DBus"})}
{}

Caller Callers::current(const sdbus::IObject &object) const
{
    Caller caller;
    caller.sender = with_current_message(object, [](const sdbus::Message &message) { return message.getSender(); });
    std::uint32_t uid = 0;
    bus_->callMethod("GetConnectionUnixUser")
        .onInterface(bus_interface)
        .withArguments(caller.sender)
        .storeResultsTo(uid);
    caller.uid = uid;
    return caller;
}

void Callers::require_present(const Caller &caller) const
{
    bool present = false;
    bus_->callMethod("NameHasOwner").onInterface(bus_interface).withArguments(caller.sender).storeResultsTo(present);
    if (!present)
        throw TapError{ErrorCode::failed, "the caller is gone"};
}

} // namespace qemutap
