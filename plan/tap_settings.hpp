// SPDX-License-Identifier: MIT
//
// What a guest may do to the host (I10), as one table: each per-device setting of a tap, its value, and how the kernel
// shows it. A second table has the settings of the whole host that overrule a device's.
// Documentation/networking/ip-sysctl.rst explains each.

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
    ipv4,          // IFLA_INET_CONF, to read and to write
    ipv6,          // IFLA_INET6_CONF to read, /proc/sys to write
    addr_gen_mode, // IFLA_INET6_ADDR_GEN_MODE, to read and to write
    multicast,     // the flag IFF_MULTICAST
};

struct TapSetting {
    SettingKind kind;
    std::string_view name; // sysctl's, below the device
    int value;             // where the tap's address rule has no other (AddressRule::settings)
    // Taps of version 0.1 have it too; a tap that lacks only others comes from there.
    bool in_first_version = false;
    // A tap is as promised without it while IPv6 is off there: a container's /proc/sys is often read-only.
    bool optional_without_ipv6 = false;
};

// rp_filter keeps a guest to its subnet's addresses, arp_ignore from other taps' addresses; redirects would let it
// steer the host; ignore_routes_with_linkdown keeps a dead tap's route from eating replies; route_localnet, proxy_arp,
// accept_local and accept_source_route would let it reach what listens on 127.0.0.1, other networks of the host, and
// send under the host's address. IPv6 is off: a Router Advertisement would take the host's default route. The two other
// IPv6 settings hold if another program switches it on, until it is off again. Programs that ask all networks for names
// (mDNS, LLMNR) leave devices without the flag MULTICAST alone; the kernel itself does not look at it.
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

// The row of this name; it must be one of the table's.
constexpr std::size_t setting_row(std::string_view name)
{
    std::size_t row = 0;
    while (tap_settings.at(row).name != name)
        ++row;
    return row;
}

// The value that the setting must have on a tap by the rule.
int promised_value(const TapSetting &setting, Profile rule);

// As sysctl(8) names it on this device, or ip-link(8) the flag.
std::string full_name(const TapSetting &setting, const std::string &device);

// What a link has, row by row. nullopt: the link has no such setting, as with IPv6 in a kernel without it.
struct LinkSettings {
    std::array<std::optional<int>, tap_settings.size()> values;

    std::optional<int> &operator[](std::string_view name) { return values.at(setting_row(name)); }
    const std::optional<int> &operator[](std::string_view name) const { return values.at(setting_row(name)); }

    friend bool operator==(const LinkSettings &, const LinkSettings &) = default;
};

// The settings of a tap that is as promised.
LinkSettings promised_settings(Profile rule);

// The rows in which a link differs from the promise.
std::vector<std::size_t> broken_settings(const LinkSettings &settings, Profile rule);

// True if a tap with these settings is as promised although this row differs.
bool is_tolerable(std::size_t row, const LinkSettings &settings);

// The kernel combines net.ipv4.conf.all with the device's setting (include/linux/inetdevice.h): the greater one counts,
// or either. accept_source_route needs both and is harmless. A redirect counts only from the gateway of a route through
// the device it came by, and send_redirects is about the guest: neither is a way to the host while rp_filter is 1.
struct HostWideSetting {
    std::string_view name;
    int harmful_from; // this value and greater ones
    std::string_view effect;
};
inline constexpr std::array host_wide_settings{
    HostWideSetting{"rp_filter", 2, "a guest can send under the addresses of other guests and of other hosts"},
    HostWideSetting{"route_localnet", 1, "a guest can reach services that listen on 127.0.0.1"},
    HostWideSetting{"proxy_arp", 1, "the host answers a guest's ARP requests for addresses of its other networks"},
    HostWideSetting{"accept_local", 1, "a guest can send under its gateway's address"},
};
// Row by row; nullopt: it can't be read.
using HostWideValues = std::array<std::optional<int>, host_wide_settings.size()>;

} // namespace qemutap
