// SPDX-License-Identifier: MIT
//
// Two questions to the message bus itself (D-Bus Specification, "Message Bus Messages").

#include "daemon/bus/callers.hpp"

#include "common/error.hpp"

namespace qemutap {

namespace {

constexpr const char *bus_interface = "org.freedesktop.DBus";
constexpr std::size_t most_known = 4096;

} // namespace

Callers::Callers(sdbus::IConnection &connection)
    : bus_{sdbus::createProxy(connection, BusServiceName{"org.freedesktop.DBus"},
                              BusObjectPath{"/org/freedesktop/DBus"})}
{}

Caller Callers::current(const sdbus::IObject &object)
{
    const auto sender =
        with_current_message(object, [](const sdbus::Message &message) { return std::string{message.getSender()}; });
    const auto known = known_.find(sender);
    if (known != known_.end())
        return {sender, known->second};
    if (known_.size() >= most_known)
        known_.clear();
    const auto uid = ask_uid(sender);
    known_.emplace(sender, uid);
    return {sender, uid};
}

// Waits for the bus. While it does, sd-bus reads whatever else was sent to us into memory: hence once for each
// caller, and not for each call.
uid_t Callers::ask_uid(const std::string &sender)
{
    try {
        std::uint32_t uid = 0;
        bus_->callMethod("GetConnectionUnixUser").onInterface(bus_interface).withArguments(sender).storeResultsTo(uid);
        return uid;
    } catch (const sdbus::Error &) {
        throw TapError{ErrorCode::failed, "the caller is gone"};
    }
}

void Callers::require_present(const Caller &caller) const
{
    bool present = false;
    bus_->callMethod("NameHasOwner").onInterface(bus_interface).withArguments(caller.sender).storeResultsTo(present);
    if (!present)
        throw TapError{ErrorCode::failed, "the caller is gone"};
}

} // namespace qemutap
