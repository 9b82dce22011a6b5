# SPDX-License-Identifier: MIT
"""Faults at the system calls of a program as it is, without a hook in its code: strace(1) looks on, and on request
ends the program before one of its calls, or makes that call fail. Which calls there are is recorded first."""

import collections
import contextlib
import re
import subprocess

from rig import furnish

RECORD = f"{furnish.RIG}/calls"
# What no kernel answers with such errors, and what strace, that keeps the call from being made, would do otherwise than
# a kernel that fails: a descriptor and memory are given back whatever close(2) and munmap(2) say, brk(2) itself returns
# no errors, a wake by futex(2) fails for a bad address only, as do rseq(2) and set_robust_list(2) of a new process and
# rt_sigprocmask(2), of which libnss_systemd asserts that it succeeds, and after the others there is nobody to see it.
CANNOT_FAIL = {"close", "munmap", "brk", "futex", "rseq", "set_robust_list", "rt_sigprocmask", "exit", "exit_group",
               "rt_sigreturn", "restart_syscall"}

CHILDREN = ["-f"]

# The n-th call of this name, from 1, in a process: strace counts in each for itself.
Point = collections.namedtuple("Point", "call number")


def children(pid):
    """Those that the daemon has now, in which it deletes links; those to come are followed."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return file.read().split()


class Strace:
    """Looks on from when the constructor returns until `detach()`."""

    def __init__(self, pid, *options):
        pids = [str(pid), *(children(pid) if set(CHILDREN) <= set(options) else [])]
        looked_at = [word for each in pids for word in ("-p", each)]
        self.popen = subprocess.Popen(["strace", *looked_at, *options], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        line = self.popen.stderr.readline()
        if "attached" not in line:
            self.detach()
            raise RuntimeError(f"strace can't look on: {line}{self.popen.stderr.read()}")

    def detach(self):
        """The program goes on, if it is still there."""
        if self.popen.poll() is None:
            self.popen.terminate()
        self.popen.wait()
        self.popen.stderr.close()


@contextlib.contextmanager
def looking_on(pid, *options):
    strace = Strace(pid, *options)
    try:
        yield
    finally:
        strace.detach()


def recorded(lines):
    """The points of a record, in their order, each once."""
    counts, points = collections.Counter(), {}
    for line in lines:
        call = re.match(r"(?:(\d+) +)?(\w+)\(", line)
        if call:
            counts[call.groups()] += 1
            points[Point(call[2], counts[call.groups()])] = None
    return list(points)


def recording(with_children):
    """Options that record the calls of the daemon, and those of its children too where that is wanted."""
    return [*CHILDREN * with_children, "-o", RECORD, "-s", "0", "-e", "signal=none"]


def read_record():
    with open(RECORD, encoding="utf-8", errors="replace") as file:
        return recorded(file)


def around(options):
    """A command to put before another, whose process stays its parent's child."""
    return ["strace", "-D", *options]


def _at(point, what):
    # "-e trace" too: strace stops the program only at what it is told to look at.
    return ["-o", "/dev/null", "-e", f"trace={point.call}", "-e", f"inject={point.call}:{what}:when={point.number}"]


def killing(point):
    """Options that end the program before the call is made: the daemon alone, whose children are to see it."""
    return _at(point, "signal=KILL")


def failing(point, error):
    """Options that let the call fail without being made; `error` is the errno's name."""
    return [*CHILDREN, *_at(point, f"error={error}")]
