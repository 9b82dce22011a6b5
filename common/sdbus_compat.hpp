// SPDX-License-Identifier: MIT
//
// One spelling for sdbus-c++ 1.2 (Debian 12) and 2.x (Debian 13). This file holds the differences that this project
// meets. The only other place that asks for QEMUTAP_SDBUS_2 is the loop that processes the connection, because 2.x has
// one more descriptor to poll.

#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#if __has_include(<sdbus-c++/VTableItems.h>)
#define QEMUTAP_SDBUS_2 1
#else
#define QEMUTAP_SDBUS_2 0
#endif

namespace qemutap {

#if QEMUTAP_SDBUS_2

using BusServiceName = sdbus::ServiceName;
using BusObjectPath = sdbus::ObjectPath;
using BusInterfaceName = sdbus::InterfaceName;
using BusMethodName = sdbus::MethodName;
using BusErrorName = sdbus::Error::Name;
using BusInterfaceName = sdbus::InterfaceName;
using BusMethodName = sdbus::MethodName;
using BusReplyError = std::optional<sdbus::Error>; // the first argument of a reply handler

// The time at which the connection must be processed again, in microseconds of CLOCK_MONOTONIC. UINT64_MAX: never.
inline std::uint64_t bus_deadline_usec(const sdbus::IConnection::PollData &poll)
{
    return poll.timeout == std::chrono::microseconds::max() ? UINT64_MAX
                                                            : static_cast<std::uint64_t>(poll.timeout.count());
}

inline bool process_pending(sdbus::IConnection &connection)
{
    return connection.processPendingEvent();
}

// Calls `use` with the message that a handler of `object` is processing.
template <typename Use>
auto with_current_message(const sdbus::IObject &object, Use use)
{
    return use(object.getCurrentlyProcessedMessage());
}

// Calls `callback` for each message that matches the rule and answers no pending call, until the slot is destroyed.
template <typename Callback>
sdbus::Slot add_match(sdbus::IConnection &connection, const std::string &rule, Callback callback)
{
    return connection.addMatch(rule, std::move(callback), sdbus::return_slot);
}

// Sends a call without waiting. `answered` runs when the call is answered or fails; it does not learn which.
template <typename Answered>
void call_async(sdbus::IProxy &proxy, const sdbus::MethodCall &call, Answered answered)
{
    proxy.callMethodAsync(call,
                          [answered](const sdbus::MethodReply &, const std::optional<sdbus::Error> &) { answered(); });
}

#else

using BusServiceName = std::string;
using BusObjectPath = sdbus::ObjectPath;
using BusInterfaceName = std::string;
using BusMethodName = std::string;
using BusErrorName = std::string;
using BusInterfaceName = std::string;
using BusMethodName = std::string;
using BusReplyError = const sdbus::Error *;

inline std::uint64_t bus_deadline_usec(const sdbus::IConnection::PollData &poll)
{
    return poll.timeout_usec;
}

inline bool process_pending(sdbus::IConnection &connection)
{
    return connection.processPendingRequest();
}

template <typename Use>
auto with_current_message(const sdbus::IObject &object, Use use)
{
    return use(*object.getCurrentlyProcessedMessage());
}

template <typename Callback>
sdbus::Slot add_match(sdbus::IConnection &connection, const std::string &rule, Callback callback)
{
    return connection.addMatch(rule, std::move(callback));
}

template <typename Answered>
void call_async(sdbus::IProxy &proxy, const sdbus::MethodCall &call, Answered answered)
{
    proxy.callMethod(call, [answered](sdbus::MethodReply &, const sdbus::Error *) { answered(); });
}

#endif

} // namespace qemutap
