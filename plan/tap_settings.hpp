// SPDX-License-Identifier: MIT
//
// Limits what a guest may do to the host (I10 of doc/promises.md). One table has each per-device setting of a tap, its
// value, and how the kernel shows it. A second table has the settings of the whole host that overrule a device's.
// Documentation/networking/ip-sysctl.rst explains each setting.

#pragma once

#include "contract/profile.hpp"
#include "plan/address_rules.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

enum class SettingKind {
    ipv4,          // read and written as IFLA_INET_CONF
    ipv6,          // read as IFLA_INET6_CONF, written in /proc/sys
    addr_gen_mode, // read and written as IFLA_INET6_ADDR_GEN_MODE
    multicast,     // the flag IFF_MULTICAST
};

struct TapSetting {
    SettingKind kind;
    std::string_view name; // the name in sysctl's folder of the device
    int value;             // the promised value; the tap's address rule may have another (AddressRule::settings)
    // Taps that version 0.1 made have this setting too. A tap that lacks only other settings was made by version 0.1.
    bool in_first_version = false;
    // A tap without this setting is still as promised while its IPv6 is off: a container's /proc/sys is often
    // read-only.
    bool optional_without_ipv6 = false;
};

// rp_filter restricts a guest to addresses of its subnet. arp_ignore hides other taps' addresses from it. Redirects
// would let it change the host's routes. ignore_routes_with_linkdown stops the route of a dead tap from taking replies.
// route_localnet would let it reach services on 127.0.0.1, and proxy_arp other networks of the host. accept_local would
// let it send under the host's address; accept_source_route would let it choose the route of its packets.
// IPv6 is off: a Router Advertisement could replace the host's default route. The two other IPv6 settings protect the
// host after another program switches IPv6 on, until it is off again.
// Programs that send name queries to all networks (mDNS, LLMNR) skip devices without the flag MULTICAST. The kernel
// itself ignores the flag.
inline constexpr std::array tap_settings{
    TapSetting{.kind = SettingKind::ipv4, .name = "rp_filter", .value = 1, .in_first_version = true},
    TapSetting{.kind = SettingKind::ipv4, .name = "arp_ignore", .value = 1, .in_first_version = true},
    TapSetting{.kind = SettingKind::ipv4, .name = "accept_redirects", .value = 0, .in_first_version = true},
    TapSetting{.kind = SettingKind::ipv4, .name = "send_redirects", .value = 0, .in_first_version = true},
    TapSetting{.kind = SettingKind::ipv4, .name = "ignore_routes_with_linkdown", .value = 1, .in_first_version = true},
    TapSetting{.kind = SettingKind::ipv4, .name = "route_localnet", .value = 0},
    TapSetting{.kind = SettingKind::ipv4, .name = "proxy_arp", .value = 0},
    TapSetting{.kind = SettingKind::ipv4, .name = "accept_local", .value = 0},
    TapSetting{.kind = SettingKind::ipv4, .name = "accept_source_route", .value = 0},
    TapSetting{.kind = SettingKind::ipv6, .name = "disable_ipv6", .value = 1, .in_first_version = true},
    TapSetting{.kind = SettingKind::ipv6, .name = "accept_ra", .value = 0, .optional_without_ipv6 = true},
    TapSetting{.kind = SettingKind::addr_gen_mode, .name = "addr_gen_mode", .value = 1}, // IN6_ADDR_GEN_MODE_NONE
    TapSetting{.kind = SettingKind::multicast, .name = "multicast", .value = 0},
};

// The row of the setting with this name. The table must have it.
constexpr std::size_t setting_row(std::string_view name)
{
    std::size_t row = 0;
    while (tap_settings.at(row).name != name)
        ++row;
    return row;
}

// The value that the setting must have on a tap of this address rule.
int promised_value(const TapSetting &setting, Profile rule);

// The setting's full name on this device, as sysctl(8) writes it, or the flag's as ip-link(8) does.
std::string full_name(const TapSetting &setting, const std::string &device);

// The values that a link has, in the order of the rows. nullopt: the link has no such setting, for example IPv6 in a
// kernel without it.
struct LinkSettings {
    std::array<std::optional<int>, tap_settings.size()> values;

    std::optional<int> &operator[](std::string_view name) { return values.at(setting_row(name)); }
    const std::optional<int> &operator[](std::string_view name) const { return values.at(setting_row(name)); }

    friend bool operator==(const LinkSettings &, const LinkSettings &) = default;
};

// The settings that a tap of this address rule must have.
LinkSettings promised_settings(Profile rule);

// The rows in which a link differs from promised_settings().
std::vector<std::size_t> broken_settings(const LinkSettings &settings, Profile rule);

// True if a tap with these settings is as promised although it differs in this row.
bool is_tolerable(std::size_t row, const LinkSettings &settings);

// A setting of net.ipv4.conf.all that can weaken a tap's. The kernel combines it with the device's setting
// (include/linux/inetdevice.h): for some settings the greater value counts, for others either one suffices. Settings
// that are missing here do no harm. accept_source_route needs both values. The kernel accepts a redirect only from the
// gateway of a route through the device on which it arrived, and send_redirects affects only the guest: neither gives a
// way to the host while rp_filter is 1.
struct HostWideSetting {
    std::string_view name;
    int harmful_from; // the least value that does harm
    std::string_view effect;
};
inline constexpr std::array host_wide_settings{
    HostWideSetting{"rp_filter", 2, "a guest can send under the addresses of other guests and of other hosts"},
    HostWideSetting{"route_localnet", 1, "a guest can reach services that listen on 127.0.0.1"},
    HostWideSetting{"proxy_arp", 1, "the host answers a guest's ARP requests for addresses of its other networks"},
    HostWideSetting{"accept_local", 1, "a guest can send under its gateway's address"},
};
// The values in the order of the rows. nullopt: the value can't be read.
using HostWideValues = std::array<std::optional<int>, host_wide_settings.size()>;

} // namespace qemutap
