// SPDX-License-Identifier: MIT
//
// Two questions to the message bus itself (D-Bus Specification, "Message Bus Messages").

#include "daemon/bus/callers.hpp"

#include "common/error.hpp"

#include <poll.h>

#include <stdexcept>

namespace qemutap {

namespace {

constexpr const char *bus_interface = "org.freedesktop.DBus";
constexpr const char *no_owner = "org.freedesktop.DBus.Error.NameHasNoOwner";
constexpr std::size_t most_known = 4096;
// The bus's own first words on a new connection; nobody else has a reason to send anything there.
constexpr int most_greetings = 16;

bool is_readable(const sdbus::IConnection &connection)
{
    pollfd poll{connection.getEventLoopPollData().fd, POLLIN, 0};
    return ::poll(&poll, 1, 0) > 0;
}

} // namespace

Callers::Callers()
{
    connect();
}

// The old connection stays until the new one is complete: the bus may have none for us (its limits, our descriptors).
void Callers::connect()
{
    auto connection = sdbus::createSystemBusConnection();
    auto bus =
        sdbus::createProxy(*connection, BusServiceName{"org.freedesktop.DBus"}, BusObjectPath{"/org/freedesktop/DBus"});
    std::string id;
    // When this is answered the greetings have come, and are taken off the queue.
    bus->callMethod("GetId").onInterface(bus_interface).storeResultsTo(id);
    for (int greetings = 0; greetings < most_greetings && process_pending(*connection); ++greetings) {
    }
    bus_.swap(bus); // a proxy ends before its connection
    connection_.swap(connection);
    bus.reset();
    bus_id_ = id;
    left_ = false;
}

template <typename Reply>
Reply Callers::ask(const char *method, const std::string &name)
{
    try {
        // Another process found the connection and writes to it: it is left, with all that waits on it.
        if (left_ || process_pending(*connection_) || is_readable(*connection_))
            connect();
        Reply reply{};
        bus_->callMethod(method).onInterface(bus_interface).withArguments(name).storeResultsTo(reply);
        return reply;
    } catch (const sdbus::Error &error) {
        if (error.getName() == no_owner)
            throw TapError{ErrorCode::failed, "the caller is gone"};
        left_ = true;
        throw std::runtime_error{"can't ask the bus who calls: " + error.getMessage() + "; try again"};
    }
}

Caller Callers::current(const sdbus::IObject &object)
{
    const auto sender =
        with_current_message(object, [](const sdbus::Message &message) { return std::string{message.getSender()}; });
    const auto known = known_.find(sender);
    if (known != known_.end())
        return {sender, known->second};
    if (known_.size() >= most_known)
        known_.clear();
    const uid_t uid = ask<std::uint32_t>("GetConnectionUnixUser", sender);
    known_.emplace(sender, uid);
    return {sender, uid};
}

void Callers::require_present(const Caller &caller)
{
    if (!ask<bool>("NameHasOwner", caller.sender))
        throw TapError{ErrorCode::failed, "the caller is gone"};
}

} // namespace qemutap
