// SPDX-License-Identifier: MIT
//
// The service starts as root and gives root up before it reads its first message. A process with uid 0 and one
// capability is still root: it can read root's files, and the service manager obeys it. A service manager can change
// the user of a service, but not every host has one. So the service does it itself, however it is started.

#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

namespace qemutap {

inline constexpr const char *default_service_user = "qemu-tapd";

// The account that the service runs as.
struct ServiceUser {
    std::string name = default_service_user;
    bool demanded = false; // an administrator named the user: the service runs as this user or not at all
};

// The facts that decide between the user and root.
struct RootFacts {
    bool root = false;          // the process is root
    bool may_change = false;    // it has CAP_SETUID and CAP_SETGID
    bool account_known = false; // the user has an account
    bool tun_as_root = false;   // /dev/net/tun opens with root's rights
    bool tun_as_user = false;   // /dev/net/tun opens with the user's rights
};

struct RootChoice {
    bool give_up = false;
    std::string warning; // a line for the log; empty: none
};

// Pure. Chooses to give up root if the process can still create taps afterwards. For a demanded user it throws
// TapError: invalid_argument if the user has no account, host_refused if the process may not become the user, and
// tun_unavailable if root can open /dev/net/tun but the user can't.
RootChoice choose_root(const ServiceUser &user, const RootFacts &facts, const std::string &tun_path);

// The uid of the account; nullopt: there is no account. Throws std::system_error if the lookup fails.
std::optional<uid_t> uid_of(const std::string &user);

// Collects the facts about this process and the device, and calls choose_root(). Leaves the process unchanged. Throws
// what choose_root() throws, and std::system_error.
RootChoice look_at_root(const ServiceUser &user, const std::string &tun_path = "/dev/net/tun");

// Changes the process to the user with the user's groups, CAP_NET_ADMIN and no other capability, and an empty bounding
// set (capabilities(7)). The process can't return to root. Call it while the process has one thread. Throws
// std::system_error or std::runtime_error; the process may then be half changed and must end.
void become_service_user(const std::string &user);

// For a process that stays root, or never was root. Drops all capabilities but CAP_NET_ADMIN, and empties the bounding
// set as far as it may. Throws std::runtime_error.
void drop_capabilities();

// Makes the kernel refuse, for this process and its children, the system calls that the service never makes and an
// intruder wants: other programs and processes, keys, namespaces, mounts, devices, identities (seccomp(2), by
// libseccomp). The calls fail with EPERM. Returns a warning if the kernel has no such filters, else an empty text.
// Throws std::system_error.
std::string refuse_system_calls();

} // namespace qemutap
