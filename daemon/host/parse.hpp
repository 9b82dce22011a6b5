// SPDX-License-Identifier: MIT
//
// rtnetlink(7) messages read into values. Pure: bytes in, values out; what is not about our families, or is
// cut short, is nullopt.

#pragma once

#include "daemon/core/host_state.hpp"

#include <netlink/msg.h>

#include <optional>

namespace qemutap {

// RTM_NEWLINK and RTM_DELLINK: of the link itself, not the bridge's and other families' messages about it, nor those
// that carry no name (wireless events).
bool is_of_link_itself(const nlmsghdr &message);
// nullopt where that is false.
std::optional<Link> parse_link(const nlmsghdr &message);
// RTM_NEWNETCONF: of one setting that changed; with all of them the kernel announces a new device.
bool announces_one_setting(const nlmsghdr &message);
// RTM_NEWADDR and RTM_DELADDR, IPv4.
std::optional<HostAddress> parse_address(const nlmsghdr &message);
// RTM_NEWROUTE and RTM_DELROUTE, IPv4, without cached exceptions.
std::optional<HostRoute> parse_route(const nlmsghdr &message);

} // namespace qemutap
