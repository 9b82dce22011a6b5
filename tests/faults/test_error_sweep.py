# SPDX-License-Identifier: MIT
"""Each of the daemon's system calls in turn fails, with each errno that a kernel under pressure has: it gives a
complete lease, or a named error without a trace (I9), and does not abort. That a lease is as promised is read from the
kernel, by programs that are not the daemon (I5)."""

import strace
from operations import ACQUIRES, IdleEnd, Leave, Release, Start
from rig.host import DAEMON_NAME
from rig.wire import Variant
from sweep import Sweep

ERRORS = ("EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "ENOSPC", "EINTR", "EBUSY", "EPERM", "EAGAIN")
NAMED = "org.qemutap1.Error."


class Errors(Sweep):
    shown = ("answered", "refused", "unanswered", "cut", "ended", "aborted", "leaked", "broken", "lost", "wrong")

    def faults_at(self, operation, points):
        return [(strace.failing(point, error), f"{error} of {point.call} {point.number}")
                for point in operation.own(points) if point.call not in strace.CANNOT_FAIL for error in ERRORS]

    def note(self, told, where):
        """A daemon that can't go on, as when the bus is lost to it, ends by itself."""
        if told.kind == "refused" and not told.value.startswith(NAMED):
            self.found(where, "wrong", [f"an error without a name of ours: {told.value}"])
        daemon = self.host.daemon
        with self.host.connect() as bus:
            ended = not bus.owner_of(DAEMON_NAME)
        if ended:
            self.counts["ended"] += 1
            status = daemon.wait()
            if status < 0:
                self.found(where, "aborted", [f"by signal {-status}"])
            self.host.restart_daemon()


class Requests(Errors):
    def test_acquire(self):
        """Point 2: 9 errnos at each system call of Acquire (both holds, 1 and 3 taps, 1 and 2 queues) (I5, I9)"""
        self.sweep(*ACQUIRES, sample=25)

    def test_release(self):
        """Point 2: 9 errnos at each system call of Release (I9)"""
        self.sweep(Release(), sample=25)

    def test_idle_end(self):
        """Point 2: 9 errnos at each system call of a lease's end by its idle timeout (I9)"""
        self.sweep(IdleEnd(), sample=4)

    def test_start(self):
        """Point 2: 9 errnos at each system call of a start with leases there, and half of one (I1)"""
        self.sweep(Start(), sample=25)


class Leaving(Errors):
    # A lease by descriptor would keep the daemon.
    held = ({"hold": Variant("s", "name")},)

    def test_leaving(self):
        """Point 2: 9 errnos at each system call of the daemon's leaving when it is idle (I1)"""
        self.sweep(Leave(), sample=4)
