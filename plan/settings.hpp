// SPDX-License-Identifier: MIT
//
// The settings that all services share: the pool, the exclusions and reservations, and the limits. One table names each
// setting as qemu-tapd.conf(5) does, so the configuration file, the daemon's command line and the log line of a reload
// use the same words.

#pragma once

#include "common/ipv4.hpp"

#include <sys/types.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// The network in which Yocto's runqemu expects its taps.
inline constexpr Ipv4Prefix runqemu_network{{0xc0a80700}, 24}; // 192.168.7.0/24

// An index that is kept for one label of one user.
struct Reservation {
    std::string user; // a name or a uid, as in the configuration
    uid_t uid = 0;
    std::string label;
    unsigned index = 0;

    std::string text() const; // the form of the configuration: "alice web 42"
    friend bool operator==(const Reservation &, const Reservation &) = default;
};

struct PlanSettings {
    Ipv4Prefix pool{{0xc0a80000}, 16}; // 192.168.0.0/16
    unsigned prefix_length = 24;
    unsigned first_index = 7; // home routers often use 192.168.0.0/24 and 192.168.1.0/24
    std::string device_prefix = "tap";
    // By default runqemu's network and 192.168.122.0/24, libvirt's default network.
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
    bool many = false;          // the setting may be given several times
    std::string_view rule = {}; // the form of a value of several words, for error messages
    // Reads the words of all values into `settings`. Throws TapError invalid_argument with the key in the text.
    void (*set)(const SettingRow &row, ServiceSettings &settings, const Words &words) = nullptr;
    // Returns one text for each value, in the form that the file has.
    Words (*values)(const ServiceSettings &settings) = nullptr;
};

std::span<const SettingRow> setting_rows();
// The row of this key. nullptr: no shared setting has this key.
const SettingRow *find_setting(std::string_view key);

// Returns a text for each setting that differs, such as "pool 192.168.0.0/16 is 10.0.0.0/16 now".
Words setting_differences(const ServiceSettings &before, const ServiceSettings &now);

// True if the text can be a name in passwd(5).
bool may_be_user_name(std::string_view text);

} // namespace qemutap
