// SPDX-License-Identifier: MIT
//
// Parses rtnetlink(7) messages into values. The functions are pure. They return nullopt for a message of another family
// or type, and for a truncated message.

#pragma once

#include "daemon/core/host_state.hpp"

#include <netlink/msg.h>

#include <optional>

namespace qemutap {

// True for an RTM_NEWLINK or RTM_DELLINK message of the link itself. False for messages about it from the bridge or
// another family, and for messages without a name (wireless events).
bool is_of_link_itself(const nlmsghdr &message);
// Parses RTM_NEWLINK and RTM_DELLINK. Returns nullopt if is_of_link_itself() is false.
std::optional<Link> parse_link(const nlmsghdr &message);
// True for an RTM_NEWNETCONF message about one setting that changed. The kernel announces a new device with a message
// about all settings.
bool announces_one_setting(const nlmsghdr &message);
// Parses RTM_NEWADDR and RTM_DELADDR of IPv4.
std::optional<HostAddress> parse_address(const nlmsghdr &message);
// Parses RTM_NEWROUTE and RTM_DELROUTE of IPv4, except cached exceptions.
std::optional<HostRoute> parse_route(const nlmsghdr &message);

} // namespace qemutap
