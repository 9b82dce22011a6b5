// SPDX-License-Identifier: MIT
//
// open_by_mount_number() first opens by O_PATH, which does not call the file system. It compares the mount's number in
// /proc/self/fdinfo (proc(5)) with the number of the directory's mount. Then it opens the same file again through
// /proc/self/fd.

#include "daemon/host/open_in.hpp"

#include "common/number.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string_view>

namespace qemutap {

namespace {

std::optional<unsigned> mount_number(int descriptor)
{
    constexpr std::string_view key = "mnt_id:\t";
    const UniqueFd facts{::open(("/proc/self/fdinfo/" + std::to_string(descriptor)).c_str(), O_RDONLY | O_CLOEXEC)};
    std::array<char, 512> buffer{};
    const auto length = facts ? ::read(facts.get(), buffer.data(), buffer.size()) : -1;
    if (length < 0)
        return std::nullopt;
    const std::string_view text{buffer.data(), static_cast<std::size_t>(length)};
    const auto at = text.find(key);
    if (at == std::string_view::npos)
        return std::nullopt;
    const auto value = text.substr(at + key.size());
    return parse_number<unsigned>(value.substr(0, value.find('\n')));
}

UniqueFd failed(int error)
{
    errno = error;
    return {};
}

// Returns an O_PATH descriptor of the file if the file is in the mount of the directory.
UniqueFd locate(int directory, const std::string &name)
{
    UniqueFd found{::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
    if (!found)
        return found;
    const auto here = mount_number(directory);
    const auto there = mount_number(found.get());
    if (!here || !there)
        return failed(ENOSYS);
    return here == there ? std::move(found) : failed(EXDEV);
}

} // namespace

UniqueFd open_in(int directory, const std::string &name, int flags, mode_t mode)
{
    auto opened = open_by_openat2(directory, name, flags, mode);
    if (opened || (errno != ENOSYS && errno != EPERM))
        return opened;
    return open_by_mount_number(directory, name, flags, mode);
}

// The C library has no function for openat2(2).
UniqueFd open_by_openat2(int directory, const std::string &name, int flags, mode_t mode)
{
    open_how how{};
    how.flags = static_cast<unsigned>(flags | O_NOFOLLOW | O_CLOEXEC);
    how.mode = mode;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return UniqueFd{static_cast<int>(::syscall(SYS_openat2, directory, name.c_str(), &how, sizeof how))};
}

UniqueFd open_by_mount_number(int directory, const std::string &name, int flags, mode_t mode)
{
    // A file that this call creates has nothing mounted on it.
    if ((flags & O_EXCL) != 0) {
        UniqueFd made{::openat(directory, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode)};
        if (made || errno != EEXIST)
            return made;
        const auto found = locate(directory, name);
        return failed(!found && errno == EXDEV ? EXDEV : EEXIST);
    }
    auto found = locate(directory, name);
    struct stat status {};
    if (!found || ::fstat(found.get(), &status) != 0)
        return {};
    if ((flags & O_DIRECTORY) != 0 && !S_ISDIR(status.st_mode))
        return failed(S_ISLNK(status.st_mode) ? ELOOP : ENOTDIR);
    if ((flags & O_PATH) != 0)
        return found;
    if (S_ISLNK(status.st_mode))
        return failed(ELOOP);
    return UniqueFd{::open(("/proc/self/fd/" + std::to_string(found.get())).c_str(), flags | O_CLOEXEC)};
}

} // namespace qemutap
