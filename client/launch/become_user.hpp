// SPDX-License-Identifier: MIT
//
// When root starts QEMU for another user, the client first becomes that user, permanently. polkit then decides about
// that user, the lease belongs to that user and QEMU runs as that user, so no right of root has to be given up later.

#pragma once

#include <map>
#include <string>
#include <sys/types.h>

namespace qemutap {

struct User {
    std::string name;
    uid_t uid;
    gid_t gid;
    std::string home;
    std::string shell;
};

using Environment = std::map<std::string, std::string>;

enum class EnvironmentRule {
    login, // the environment that su(1) and runuser(1) make with --login
    kept,  // unchanged, except for the variables that name the user or descriptors
};

// Looks the user up in the user database. Throws TapError invalid_argument if no user has this name or if the caller is
// not root, and std::system_error if the look-up fails.
User find_user(const std::string &name);

Environment environment_for(const User &user, const Environment &before, EnvironmentRule rule);

// Closes every descriptor except the three standard ones. Call it before this program opens a descriptor that it needs.
void close_inherited_descriptors();

// Makes this process the user's, with the user's groups and environment and with a new session keyring. Throws
// std::system_error if the kernel refuses a step, and TapError failed if an id of the process is not the user's
// afterwards.
void become_user(const User &user, EnvironmentRule rule);

} // namespace qemutap
