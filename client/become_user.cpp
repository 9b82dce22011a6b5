// SPDX-License-Identifier: MIT
//
// Groups, group, user, in this order: each takes the right to change the one before. What the kernel made of it is
// looked at, as a program that goes on with too many rights is worse than one that ends.

#include "client/become_user.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace qemutap {

namespace {

constexpr const char *shell_by_default = "/bin/sh"; // what passwd(5) says of an empty field

User find_user(const std::string &name)
{
    errno = 0;
    const auto *entry = ::getpwnam(name.c_str());
    if (entry)
        return {entry->pw_name, entry->pw_uid, entry->pw_gid, entry->pw_dir, entry->pw_shell};
    // getpwnam(3) lists what else stands for "not found".
    if (errno != 0 && errno != ENOENT && errno != ESRCH && errno != EBADF && errno != EPERM)
        throw std::system_error{errno, std::generic_category(), "can't look up the user " + quote(name)};
    throw TapError{ErrorCode::invalid_argument, "there is no user " + quote(name)};
}

void require(int result, const User &user, const char *call)
{
    if (result != 0)
        throw std::system_error{errno, std::generic_category(),
                                std::string{"can't become the user "} + quote(user.name) + ": " + call};
}

void require_become(const User &user)
{
    uid_t real = 0, effective = 0, saved = 0;
    require(::getresuid(&real, &effective, &saved), user, "getresuid");
    gid_t real_group = 0, effective_group = 0, saved_group = 0;
    require(::getresgid(&real_group, &effective_group, &saved_group), user, "getresgid");
    if (real != user.uid || effective != user.uid || saved != user.uid || real_group != user.gid ||
        effective_group != user.gid || saved_group != user.gid)
        throw TapError{ErrorCode::failed, "can't become the user " + quote(user.name) + " wholly"};
}

} // namespace

std::vector<std::pair<const char *, std::string>> login_environment(const User &user)
{
    return {{"HOME", user.home},
            {"USER", user.name},
            {"LOGNAME", user.name},
            {"SHELL", user.shell.empty() ? shell_by_default : user.shell}};
}

void become_user(const std::string &name)
{
    if (::geteuid() != 0)
        throw TapError{ErrorCode::invalid_argument, "only root can become another user: there is no --user for others"};
    const auto user = find_user(name);
    require(::initgroups(user.name.c_str(), user.gid), user, "initgroups");
    require(::setgid(user.gid), user, "setgid");
    require(::setuid(user.uid), user, "setuid");
    require_become(user);
    for (const auto &[variable, value] : login_environment(user))
        require(::setenv(variable, value.c_str(), 1), user, "setenv");
}

} // namespace qemutap
