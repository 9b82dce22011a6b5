// SPDX-License-Identifier: MIT
//
// Changes the supplementary groups, the group and the user in this order: each step needs a right that a later step
// gives up. Then reads all ids back from the kernel, because a program that continues with too many rights is worse
// than one that ends.

#include "client/launch/become_user.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"

#include <grp.h>
#include <linux/keyctl.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace qemutap {

namespace {

constexpr const char *shell_by_default = "/bin/sh"; // passwd(5): an empty shell field means this
// The PATH that login(1) sets when login.defs(5) names none.
constexpr const char *users_path = "/usr/local/bin:/usr/bin:/bin";
constexpr const char *roots_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
// su(1) with --login keeps these: they describe the terminal, and the program stays on that terminal.
constexpr std::array kept_at_login{"TERM", "COLORTERM", "NO_COLOR"};
// The variables of sd_listen_fds(3). close_inherited_descriptors() closes the descriptors that they describe.
constexpr std::array naming_descriptors{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"};

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

// Joins a new session keyring. Without this step the user's program would possess root's keys (session-keyring(7)).
// ENOSYS is no failure: the kernel has no keyrings, or a seccomp filter says so. EPERM comes from a seccomp filter; the
// program inherits the filter, so it can't ask for keys either. Any other error would leave the program in root's
// keyring, such as EDQUOT when the user's quota of keys is used up, so it is thrown.
void leave_session_keyring(const User &user)
{
    if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 && errno != ENOSYS && errno != EPERM)
        require(-1, user, "keyctl");
}

Environment own_environment()
{
    Environment environment;
    for (char **entry = environ; entry && *entry; ++entry) {
        const std::string_view text{*entry};
        if (const auto mark = text.find('='); mark != std::string_view::npos)
            environment.emplace(text.substr(0, mark), text.substr(mark + 1));
    }
    return environment;
}

} // namespace

User find_user(const std::string &name)
{
    if (::geteuid() != 0)
        throw TapError{ErrorCode::invalid_argument, "only root can become another user: there is no --user for others"};
    errno = 0;
    const auto *entry = ::getpwnam(name.c_str());
    if (entry)
        return {.name = entry->pw_name,
                .uid = entry->pw_uid,
                .gid = entry->pw_gid,
                .home = entry->pw_dir,
                .shell = entry->pw_shell};
    // getpwnam(3) lists these errors as further forms of "not found".
    if (errno != 0 && errno != ENOENT && errno != ESRCH && errno != EBADF && errno != EPERM)
        throw std::system_error{errno, std::generic_category(), "can't look up the user " + quote(name)};
    throw TapError{ErrorCode::invalid_argument, "there is no user " + quote(name)};
}

Environment environment_for(const User &user, const Environment &before, EnvironmentRule rule)
{
    Environment environment;
    if (rule == EnvironmentRule::kept) {
        environment = before;
        for (const char *name : naming_descriptors)
            environment.erase(name);
    } else {
        for (const char *name : kept_at_login)
            if (const auto found = before.find(name); found != before.end())
                environment.insert(*found);
        environment["PATH"] = user.uid == 0 ? roots_path : users_path;
    }
    environment["HOME"] = user.home;
    environment["USER"] = user.name;
    environment["LOGNAME"] = user.name;
    environment["SHELL"] = user.shell.empty() ? shell_by_default : user.shell;
    return environment;
}

void close_inherited_descriptors()
{
    ::closefrom(STDERR_FILENO + 1);
}

void become_user(const User &user, EnvironmentRule rule)
{
    require(::initgroups(user.name.c_str(), user.gid), user, "initgroups");
    require(::setgid(user.gid), user, "setgid");
    require(::setuid(user.uid), user, "setuid");
    require_become(user);
    leave_session_keyring(user);
    const auto environment = environment_for(user, own_environment(), rule);
    require(::clearenv(), user, "clearenv");
    for (const auto &[variable, value] : environment)
        require(::setenv(variable.c_str(), value.c_str(), 1), user, "setenv");
}

} // namespace qemutap
