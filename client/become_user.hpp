// SPDX-License-Identifier: MIT
//
// Root that starts somebody's QEMU becomes that user first, for good: the lease, polkit's question and QEMU itself
// are then the user's, and nothing is left to undo.

#pragma once

#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace qemutap {

struct User {
    std::string name;
    uid_t uid;
    gid_t gid;
    std::string home;
    std::string shell;
};

// What login(1) would set for the user.
std::vector<std::pair<const char *, std::string>> login_environment(const User &user);

// With the user's groups and login environment. Throws TapError invalid_argument for a name that nobody has and
// for a caller that is not root, std::system_error where the kernel refuses.
void become_user(const std::string &name);

} // namespace qemutap
