// SPDX-License-Identifier: MIT
//
// Opens a name in a directory that all users can write to. A user may have put a symbolic link there, or have mounted a
// file system whose program answers when it likes (FUSE). The functions follow no link, enter no mount and never wait
// for such a program.

#pragma once

#include "common/unique_fd.hpp"

#include <sys/types.h>

#include <string>

namespace qemutap {

// Opens like openat(2) with O_NOFOLLOW and O_CLOEXEC, for a name without slashes. Returns an empty descriptor and sets
// errno on failure: EXDEV if something is mounted on the name. It uses openat2(2). If the kernel lacks openat2(2), or a
// filter of system calls hides it as systemd's RestrictSUIDSGID= does, it compares the numbers of the mounts.
UniqueFd open_in(int directory, const std::string &name, int flags, mode_t mode = 0);

// open_in() uses these two functions. open_by_openat2() fails with ENOSYS or EPERM if openat2(2) is not available.
UniqueFd open_by_openat2(int directory, const std::string &name, int flags, mode_t mode);
UniqueFd open_by_mount_number(int directory, const std::string &name, int flags, mode_t mode);

} // namespace qemutap
