// SPDX-License-Identifier: MIT
//
// Root that starts somebody's QEMU becomes that user first, for good: the lease, polkit's question and QEMU itself
// are then the user's, and nothing is left to undo.

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
    login, // as su(1) and runuser(1) make it with --login
    kept,  // as it was, but for the variables that name the user and those that name descriptors
};

// Throws TapError invalid_argument for a name that no user has and for a caller that is not root.
User find_user(const std::string &name);

Environment environment_for(const User &user, const Environment &before, EnvironmentRule rule);

// Closes every descriptor but the three standard ones. The caller has opened none yet that it needs.
void close_inherited_descriptors();

// With the user's groups and environment, and without the session keyring of whoever was the caller. Throws
// std::system_error where the kernel refuses.
void become_user(const User &user, EnvironmentRule rule);

} // namespace qemutap
