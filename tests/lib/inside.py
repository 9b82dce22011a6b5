# SPDX-License-Identifier: MIT
"""inside.py PID: makes a running program (x86-64, one thread) call the kernel itself, by ptrace(2), and prints as JSON
what the kernel answers it. That shows what an intruder in the program could do, however the program was started; a
probe in its place would only show what its surroundings enforce."""

import ctypes
import errno
import json
import os
import signal
import socket
import struct
import subprocess
import sys

from tests.lib.bus import BusError, Connection

BUS_SOCKET = "/run/dbus/system_bus_socket"
PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_DETACH = 9, 12, 13, 17
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000  # waitpid(2): also for what is no child
REGISTERS = ("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi",
             "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs")
ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
SYSCALL = b"\x0f\x05"
# Below what the program's own stack and its red zone take.
SCRATCH = 65536
AT_FDCWD = -100
CALLS = {"open": 2, "close": 3, "socket": 41, "connect": 42, "kill": 62, "execve": 59, "ptrace": 101, "setuid": 105,
         "setresuid": 117, "mknod": 133, "mount": 165, "keyctl": 250, "unshare": 272, "setns": 308, "bpf": 321,
         "userfaultfd": 323, "io_uring_setup": 425}
PR_CAPBSET_READ, PRCTL = 23, 157

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request, pid, address=None, data=None):
    if _libc.ptrace(request, pid, address, data) == -1:
        raise OSError(ctypes.get_errno(), f"ptrace request {request:#x}")


class Inside:
    """The program, stopped for as long as this is used with `with`."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        _ptrace(PTRACE_SEIZE, self.pid)
        _ptrace(PTRACE_INTERRUPT, self.pid)
        os.waitpid(self.pid, WALL)
        self.memory = os.open(f"/proc/{self.pid}/mem", os.O_RDWR)
        self.before = self._registers()
        self.at = self.before["rip"] - len(SYSCALL)
        if os.pread(self.memory, len(SYSCALL), self.at) != SYSCALL:
            raise RuntimeError("the program is not waiting in a system call")
        self.free = self.before["rsp"] - SCRATCH
        return self

    def __exit__(self, *_):
        self._set(self.before)
        os.close(self.memory)
        _ptrace(PTRACE_DETACH, self.pid)

    def _registers(self):
        buffer = ctypes.create_string_buffer(8 * len(REGISTERS))
        _ptrace(PTRACE_GETREGS, self.pid, None, ctypes.cast(buffer, ctypes.c_void_p))
        return dict(zip(REGISTERS, struct.unpack(f"{len(REGISTERS)}Q", buffer.raw)))

    def _set(self, registers):
        buffer = ctypes.create_string_buffer(struct.pack(f"{len(REGISTERS)}Q", *(registers[name] for name in REGISTERS)))
        _ptrace(PTRACE_SETREGS, self.pid, None, ctypes.cast(buffer, ctypes.c_void_p))

    def bytes(self, content):
        """Puts bytes into the program's memory; returns where."""
        place = self.free
        self.free += (len(content) + 15) // 8 * 8
        os.pwrite(self.memory, content, place)
        return place

    def call(self, number, *arguments):
        """The kernel's answer: a value, or the negative error number."""
        words = [self.bytes(word.encode() + b"\0") if isinstance(word, str) else word for word in arguments]
        words = [word & 0xffffffffffffffff for word in words] + [0] * (len(ARGUMENTS) - len(words))
        self._set({**self.before, **dict(zip(ARGUMENTS, words)), "rax": number, "orig_rax": 0xffffffffffffffff,
                   "rip": self.at})
        _ptrace(PTRACE_SINGLESTEP, self.pid)
        os.waitpid(self.pid, WALL)
        return ctypes.c_int64(self._registers()["rax"]).value

    def outcome(self, name, *arguments):
        """None if the kernel does it, else the reason why not."""
        answer = self.call(CALLS[name], *arguments)
        return None if answer >= 0 else errno.errorcode[-answer]

    def connected(self, path):
        """A stream socket that the program itself connected, so that it speaks with the program's identity."""
        descriptor = self.call(CALLS["socket"], socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, 0)
        address = struct.pack("H", socket.AF_UNIX) + path.encode() + b"\0"
        answer = self.call(CALLS["connect"], descriptor, self.bytes(address), len(address))
        if answer < 0:
            raise OSError(-answer, path)
        pidfd = os.pidfd_open(self.pid)
        taken = _libc.syscall(438, pidfd, descriptor, 0)  # pidfd_getfd(2)
        os.close(pidfd)
        self.call(CALLS["close"], descriptor)
        return socket.socket(fileno=taken)


def start_transient_unit(connection):
    """None if systemd starts the unit for this connection, else the error's name."""
    try:
        connection.call("org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                        "org.freedesktop.systemd1.Manager.StartTransientUnit", "ssa(sv)a(sa(sv))", "intruder.service", "fail",
                        [], [])
    except BusError as error:
        return error.name.rsplit(".", 1)[-1]
    return None


def tried(program, victim, systemd):
    """What each deed of an intruder comes to; `victim` is another process, of root's."""
    outcomes = {
        "read /etc/shadow": program.outcome("open", "/etc/shadow", os.O_RDONLY, 0),
        "setuid back": program.outcome("setuid", 0),
        "setresuid back": program.outcome("setresuid", 0, 0, 0),
        "ptrace": program.outcome("ptrace", PTRACE_SEIZE, victim, 0, 0),
        "keyctl": program.outcome("keyctl", 0, -3, 0),  # KEYCTL_GET_KEYRING_ID of the session's
        "userfaultfd": program.outcome("userfaultfd", 1),  # UFFD_USER_MODE_ONLY
        "io_uring": program.outcome("io_uring_setup", 1, program.bytes(bytes(120))),
        "mknod": program.outcome("mknod", "/tmp/intruder", 0o020666, os.makedev(1, 1)),
        "setns": program.outcome("setns", -1, 0),
        "unshare": program.outcome("unshare", 0x10000000),  # CLONE_NEWUSER
        "bpf": program.outcome("bpf", 0, program.bytes(bytes(128)), 128),
        "mount": program.outcome("mount", "none", "/mnt", "tmpfs", 0, 0),
        "another program": program.outcome("execve", "/nonexistent", 0, 0),
        "signal the first process": program.outcome("kill", 1, 0),
    }
    if systemd:
        uid = next(int(line.split()[2]) for line in open(f"/proc/{program.pid}/status", encoding="ascii")
                   if line.startswith("Uid:"))
        with Connection(over=(program.connected(BUS_SOCKET), uid)) as connection:
            outcomes["StartTransientUnit"] = start_transient_unit(connection)
    return outcomes


def main():
    # A test that is killed must not leave the program stopped.
    signal.alarm(60)
    # Not waited for: a program that traces it keeps it until its own end.
    victim = subprocess.Popen(["sleep", "60"])
    try:
        with Inside(int(sys.argv[1])) as program:
            outcomes = tried(program, victim.pid, systemd=os.path.isdir("/run/systemd/system"))
    finally:
        victim.kill()
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
