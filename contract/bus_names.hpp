// SPDX-License-Identifier: MIT
//
// The names on the bus that both programs use. dbus/org.qemutap1.xml documents them.

#pragma once

#include <cstdint>

namespace qemutap {

inline constexpr const char *bus_name = "org.qemutap1";
inline constexpr const char *object_path = "/org/qemutap1";
inline constexpr const char *manager_interface = "org.qemutap1.Manager";

inline constexpr const char *action_acquire = "org.qemutap.acquire";
inline constexpr const char *action_manage = "org.qemutap.manage";
inline constexpr const char *action_vhost = "org.qemutap.vhost";
inline constexpr const char *acquire_group = "qemu-tap";
inline constexpr const char *vhost_group = "kvm";

// Keys of the options of Acquire and List.
inline constexpr const char *key_hold = "hold";
inline constexpr const char *key_label = "label";
inline constexpr const char *key_queues = "queues";
inline constexpr const char *key_vhost = "vhost";
inline constexpr const char *key_vnet = "vnet";
inline constexpr const char *key_idle_timeout = "idle-timeout";
inline constexpr const char *key_attended = "attended";
inline constexpr const char *key_profile = "profile";
inline constexpr const char *key_interactive = "interactive";
inline constexpr const char *key_all = "all";
inline constexpr const char *key_columns = "columns";

// The key of a lease's taps in the answers; contract/fields.hpp has the others. In columns its value is the number of
// taps.
inline constexpr const char *key_taps = "taps";

// The time that polkit has for an answer, in seconds. The first value applies if polkit may ask a person, the second if
// not. A caller's own time limit must be longer than the value that applies to its call.
inline constexpr std::uint64_t interactive_authorization_seconds = 300;
inline constexpr std::uint64_t authorization_seconds = 20;
// The time, in seconds, for which a request for descriptors waits until clients have received earlier answers of the
// same user or of all users.
inline constexpr std::uint64_t hand_over_seconds = 5;

} // namespace qemutap
