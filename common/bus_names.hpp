// SPDX-License-Identifier: MIT
//
// The names of the bus contract that both programs speak and that dbus/org.qemutap1.xml documents.

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

// Keys of a lease and of its taps in the answers; a lease has key_hold, key_label, key_idle_timeout, key_attended
// too, a tap key_queues and key_vhost. In columns, key_taps is how many taps the lease has.
inline constexpr const char *key_lease = "lease";
inline constexpr const char *key_uid = "uid";
inline constexpr const char *key_taps = "taps";
inline constexpr const char *key_name = "name";
inline constexpr const char *key_index = "index";
inline constexpr const char *key_gateway = "gateway";
inline constexpr const char *key_client = "client";
inline constexpr const char *key_prefix_length = "prefix-length";
inline constexpr const char *key_mac = "mac";

// How long a person may take to answer polkit's question, and how long polkit itself may take when nobody
// is asked; a caller's own time limit must be longer than the one that applies to it.
inline constexpr std::uint64_t interactive_authorization_seconds = 300;
inline constexpr std::uint64_t authorization_seconds = 20;
// How long a request for descriptors waits for others, of the same user or of all, to be received.
inline constexpr std::uint64_t hand_over_seconds = 5;

} // namespace qemutap
