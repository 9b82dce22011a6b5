// SPDX-License-Identifier: MIT
//
// The kernel's numbers for the settings in the core's table.

#pragma once

#include "plan/tap_settings.hpp"

#include <linux/ip.h>
#include <linux/ipv6.h>

#include <array>
#include <utility>

namespace qemutap {

// One number for each row of tap_settings. IPV4_DEVCONF_* counts from 1 and DEVCONF_* from 0. Rows of other kinds have
// no number.
inline constexpr auto setting_numbers = [] {
    constexpr std::array numbered{
        std::pair{std::string_view{"rp_filter"}, static_cast<int>(IPV4_DEVCONF_RP_FILTER)},
        std::pair{std::string_view{"arp_ignore"}, static_cast<int>(IPV4_DEVCONF_ARP_IGNORE)},
        std::pair{std::string_view{"accept_redirects"}, static_cast<int>(IPV4_DEVCONF_ACCEPT_REDIRECTS)},
        std::pair{std::string_view{"send_redirects"}, static_cast<int>(IPV4_DEVCONF_SEND_REDIRECTS)},
        std::pair{std::string_view{"ignore_routes_with_linkdown"},
                  static_cast<int>(IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN)},
        std::pair{std::string_view{"route_localnet"}, static_cast<int>(IPV4_DEVCONF_ROUTE_LOCALNET)},
        std::pair{std::string_view{"proxy_arp"}, static_cast<int>(IPV4_DEVCONF_PROXY_ARP)},
        std::pair{std::string_view{"accept_local"}, static_cast<int>(IPV4_DEVCONF_ACCEPT_LOCAL)},
        std::pair{std::string_view{"accept_source_route"}, static_cast<int>(IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE)},
        std::pair{std::string_view{"disable_ipv6"}, static_cast<int>(DEVCONF_DISABLE_IPV6)},
        std::pair{std::string_view{"accept_ra"}, static_cast<int>(DEVCONF_ACCEPT_RA)},
    };
    std::array<int, tap_settings.size()> numbers{};
    for (const auto &[name, number] : numbered)
        numbers.at(setting_row(name)) = number;
    return numbers;
}();

} // namespace qemutap
