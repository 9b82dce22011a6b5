// SPDX-License-Identifier: MIT
//
// Opens a name in a directory that is open to all users. A user may have put a link there, or have mounted a file
// system whose program answers when it likes (FUSE): neither is followed or entered, and nothing is waited for.

#pragma once

#include "common/unique_fd.hpp"

#include <sys/types.h>

#include <string>

namespace qemutap {

// As openat(2) with O_NOFOLLOW and O_CLOEXEC, for a name without slashes. Empty on failure, with errno: EXDEV where
// something is mounted on the name. By openat2(2), or by the mounts' numbers where the kernel lacks it or a filter of
// system calls hides it, as that of systemd's RestrictSUIDSGID= does.
UniqueFd open_in(int directory, const std::string &name, int flags, mode_t mode = 0);

// Its two ways. The first fails with ENOSYS or EPERM where it can't be had.
UniqueFd open_by_openat2(int directory, const std::string &name, int flags, mode_t mode);
UniqueFd open_by_mount_number(int directory, const std::string &name, int flags, mode_t mode);

} // namespace qemutap
