// SPDX-License-Identifier: MIT
//
// A list of refused system calls, not of allowed ones: the service must work with future versions of the C library. If
// systemd starts the service, the unit's list of allowed system calls applies too.

#include "daemon/privileges.hpp"

#include <sched.h>
#include <seccomp.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <system_error>

namespace qemutap {

namespace {

#if defined(__SANITIZE_ADDRESS__)
#define QEMUTAP_WATCHED_BY_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QEMUTAP_WATCHED_BY_SANITIZER 1
#endif
#endif

constexpr std::array refused{
#ifndef QEMUTAP_WATCHED_BY_SANITIZER
    // A sanitizer needs these calls for a report: it starts a program and inspects this process.
    "execve", "execveat", "ptrace",
#endif
    // Other processes.
    "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp",
    // Ways into the kernel that have had many holes.
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "modify_ldt",
    "vmsplice", "personality", "open_by_handle_at", "lookup_dcookie",
    // Keys.
    "add_key", "keyctl", "request_key",
    // Namespaces and mounts.
    "unshare", "setns", "chroot", "pivot_root", "mount", "umount", "umount2", "mount_setattr", "move_mount",
    "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
    // Devices.
    "mknod", "mknodat", "iopl", "ioperm", "pciconfig_read", "pciconfig_write", "pciconfig_iobase",
    // Identities.
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid",
    "setuid32", "setgid32", "setreuid32", "setregid32", "setresuid32", "setresgid32", "setgroups32", "setfsuid32",
    "setfsgid32", "capset",
    // The machine.
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff",
    "syslog", "acct", "quotactl", "quotactl_fd", "settimeofday", "stime", "adjtimex", "clock_settime",
    "clock_settime64", "clock_adjtime", "clock_adjtime64", "sethostname", "setdomainname", "vhangup", "nfsservctl",
    "uselib"};

// The service needs clone(2), but with none of these flags. A filter can't see the flags of clone3(2), so clone3(2)
// fails with ENOSYS, and the C library then uses clone(2).
constexpr std::array namespaces{CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET};
#if defined(__s390__)
constexpr unsigned clone_flags_argument = 1;
#else
constexpr unsigned clone_flags_argument = 0;
#endif

struct FilterDeleter {
    void operator()(void *filter) const { seccomp_release(filter); }
};

void require(int result, const std::string &what)
{
    if (result < 0)
        throw std::system_error{-result, std::generic_category(), "a filter of system calls: " + what};
}

// Adds no rule for a name that this libseccomp or this architecture lacks.
void refuse(void *filter, const char *name, int error)
{
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR)
        return;
    const int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(static_cast<unsigned>(error)), number, 0);
    if (result != -EDOM) // EDOM: this architecture lacks the call
        require(result, name);
}

} // namespace

std::string refuse_system_calls()
{
    const std::unique_ptr<void, FilterDeleter> filter{seccomp_init(SCMP_ACT_ALLOW)};
    if (!filter)
        throw std::bad_alloc{};
    for (const auto *name : refused)
        refuse(filter.get(), name, EPERM);
    refuse(filter.get(), "clone3", ENOSYS);
    for (const auto flag : namespaces) {
        const auto bit = static_cast<std::uint64_t>(flag);
        require(seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                 SCMP_CMP(clone_flags_argument, SCMP_CMP_MASKED_EQ, bit, bit)),
                "clone");
    }
    const int result = seccomp_load(filter.get());
    if (result == -EINVAL || result == -ENOSYS)
        return "this kernel has no filters of system calls (CONFIG_SECCOMP_FILTER); the service goes on without one";
    require(result, "loading it");
    return {};
}

} // namespace qemutap
