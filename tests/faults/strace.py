# SPDX-License-Identifier: MIT
"""Inject faults at the system calls of an unmodified program: strace(1) attaches to it and, on request, kills it before
one of its calls or makes that call fail. A first run records which calls there are."""

import collections
import contextlib
import re
import subprocess

from tests.lib import furnish

RECORD = f"{furnish.RIG}/calls"
# The calls for which an injected error is wrong: no kernel returns one, or the effect of strace, which skips the
# call, is not that of a kernel. close(2) and munmap(2) give back the descriptor or the memory even when they fail.
# brk(2) returns no error. A wake by futex(2), and rseq(2) and set_robust_list(2) of a new process, fail only for a
# bad address, and so does rt_sigprocmask(2), which libnss_systemd asserts to succeed. No code runs after the others
# that could see an error.
CANNOT_FAIL = {"close", "munmap", "brk", "futex", "rseq", "set_robust_list", "rt_sigprocmask", "exit", "exit_group",
               "rt_sigreturn", "restart_syscall"}

CHILDREN = ["-f"]

# The n-th call of this name in a process, counted from 1, because strace counts in each process separately.
Point = collections.namedtuple("Point", "call number")


def children(pid):
    """Return the daemon's children of this moment, which delete links. strace follows the later ones by itself."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return file.read().split()


class Strace:
    """strace attached to a program, from the constructor's return until `detach()`."""

    def __init__(self, pid, *options):
        pids = [str(pid), *(children(pid) if set(CHILDREN) <= set(options) else [])]
        looked_at = [word for each in pids for word in ("-p", each)]
        self.popen = subprocess.Popen(["strace", *looked_at, *options], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        line = self.popen.stderr.readline()
        if "attached" not in line:
            self.detach()
            raise RuntimeError(f"strace cannot attach: {line}{self.popen.stderr.read()}")

    def detach(self):
        """Detach. The program continues, if it still exists."""
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
    """Return the points of a record in their order, each once."""
    counts, points = collections.Counter(), {}
    for line in lines:
        call = re.match(r"(?:(\d+) +)?(\w+)\(", line)
        if call:
            counts[call.groups()] += 1
            points[Point(call[2], counts[call.groups()])] = None
    return list(points)


def recording(with_children):
    """Return options that record the calls of the daemon and, if wanted, of its children."""
    return [*CHILDREN * with_children, "-o", RECORD, "-s", "0", "-e", "signal=none"]


def read_record():
    with open(RECORD, encoding="utf-8", errors="replace") as file:
        return recorded(file)


def around(options):
    """Return words that start a command under strace, so that the command's process stays its parent's child."""
    return ["strace", "-D", *options]


def _at(point, what):
    # "-e trace" is needed as well: strace stops the program only at the calls that it traces.
    return ["-o", "/dev/null", "-e", f"trace={point.call}", "-e", f"inject={point.call}:{what}:when={point.number}"]


def killing(point):
    """Return options that kill the daemon before the call is made, but not its children, which must notice."""
    return _at(point, "signal=KILL")


def failing(point, error):
    """Return options that skip the call and make it fail; `error` is the errno's name."""
    return [*CHILDREN, *_at(point, f"error={error}")]
