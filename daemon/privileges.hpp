// SPDX-License-Identifier: MIT
//
// The service starts as root and gives that up before it reads its first message. uid 0 with one capability is still
// root: its files are readable and the service manager obeys it. A service manager can do the same for a service, but
// not where none is, so the service does it itself in every way of start.

#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

namespace qemutap {

inline constexpr const char *default_service_user = "qemu-tapd";

// The account that the service runs as.
struct ServiceUser {
    std::string name = default_service_user;
    bool demanded = false; // an administrator named it: without it the service does not run
};

// What the choice between the user and root depends on.
struct RootFacts {
    bool root = false;          // the process is root
    bool may_change = false;    // it has CAP_SETUID and CAP_SETGID
    bool account_known = false; // the user has an account
    bool tun_as_root = false;   // /dev/net/tun opens
    bool tun_as_user = false;   // the same, with the user's rights
};

struct RootChoice {
    bool give_up = false;
    std::string warning; // a line for the log; empty: none
};

// Pure. Root is given up wherever taps can still be made afterwards. Throws TapError invalid_argument for a demanded
// user without an account, host_refused where the process may not become a demanded user, tun_unavailable where a
// demanded user can't open a /dev/net/tun that root can open.
RootChoice choose_root(const ServiceUser &user, const RootFacts &facts, const std::string &tun_path);

// The uid of the account; nullopt where there is none. Throws std::system_error if the lookup fails.
std::optional<uid_t> uid_of(const std::string &user);

// Looks at this process and at the device, and chooses. The process is unchanged afterwards.
// Throws what choose_root() throws, and std::system_error.
RootChoice look_at_root(const ServiceUser &user, const std::string &tun_path = "/dev/net/tun");

// The process becomes the user with the user's groups, CAP_NET_ADMIN and no other capability, an empty bounding set
// (capabilities(7)) and no way back. Call it while there is one thread. Throws std::system_error or std::runtime_error;
// the process may then be half changed and must end.
void become_service_user(const std::string &user);

// For a process that stays root, or never was: keeps CAP_NET_ADMIN of the capabilities and empties the bounding set as
// far as it may. Throws std::runtime_error.
void drop_capabilities();

// Refuses with EPERM, for this process and its children, the system calls that the service never makes and an intruder
// wants: other programs and processes, keys, namespaces, mounts, devices, identities (seccomp(2), by libseccomp).
// Returns a warning where the kernel has no such filters, else an empty text. Throws std::system_error.
std::string refuse_system_calls();

} // namespace qemutap
