// SPDX-License-Identifier: MIT
//
// The settings that all services share: the pool of addresses, what is excluded and reserved, and the limits. One table
// names each setting as qemu-tapd.conf(5) does, so that the configuration file, the daemon's command line and the log
// line of a reload use the same words.

#pragma once

#include "common/ipv4.hpp"

#include <sys/types.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// The network of the taps of Yocto's runqemu.
inline constexpr Ipv4Prefix runqemu_network{{0xc0a80700}, 24}; // 192.168.7.0/24

// An index that only one user's label gets.
struct Reservation {
    std::string user; // as the administrator wrote it, a name or a uid
    uid_t uid = 0;
    std::string label;
    unsigned index = 0;

    std::string text() const; // as in the configuration: "alice web 42"
    friend bool operator==(const Reservation &, const Reservation &) = default;
};

struct PlanSettings {
    Ipv4Prefix pool{{0xc0a80000}, 16}; // 192.168.0.0/16
    unsigned prefix_length = 24;
    unsigned first_index = 7; // above the home routers' 0 and 1
    std::string device_prefix = "tap";
    // runqemu's network, and 192.168.122.0/24, libvirt's default network.
    std::vector<Ipv4Prefix> exclusions{runqemu_network, {{0xc0a87a00}, 24}};
    std::vector<Reservation> reservations{};
};

struct Limits {
    unsigned max_taps_per_user = 32;
    unsigned max_taps = 4096;
};

struct ServiceSettings {
    PlanSettings plan;
    Limits limits;
};

using Words = std::vector<std::string>;

struct SettingRow {
    std::string_view key;
    std::string_view help;
    std::string_view value_name = "TEXT";
    unsigned words_per_value = 1;
    bool many = false;          // may be given several times
    std::string_view rule = {}; // what a value of several words is, for error messages
    // Takes the words of all values. Throws TapError invalid_argument with the key in the text.
    void (*set)(const SettingRow &row, ServiceSettings &settings, const Words &words) = nullptr;
    // One text for each value, as it is in the file.
    Words (*values)(const ServiceSettings &settings) = nullptr;
};

std::span<const SettingRow> setting_rows();
// nullptr: no service shares such a setting.
const SettingRow *find_setting(std::string_view key);

// "pool 192.168.0.0/16 is 10.0.0.0/16 now": a text for each setting in which the two differ.
Words setting_differences(const ServiceSettings &before, const ServiceSettings &now);

// True if the text can be a name in passwd(5).
bool may_be_user_name(std::string_view text);

} // namespace qemutap
