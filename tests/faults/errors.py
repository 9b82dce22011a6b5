# SPDX-License-Identifier: MIT
"""Make each system call of the daemon fail in turn, with each errno that a kernel under pressure returns. The daemon
must give a complete lease, or answer with a named error and leave no trace (I9), and it must not abort. Programs other
than the daemon read from the kernel whether the lease is as promised (I5)."""

from tests.faults import strace
from tests.faults.sweep import Sweep

ERRORS = ("EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "ENOSPC", "EINTR", "EBUSY", "EPERM", "EAGAIN")
NAMED = "org.qemutap1.Error."


class Errors(Sweep):
    children = True
    shown = ("answered", "refused", "unanswered", "cut", "ended", "aborted", "leaked", "broken", "lost", "wrong")

    def faults_at(self, operation, points):
        return [(strace.failing(point, error), f"{error} of {point.call} {point.number}")
                for point in operation.own(points) if point.call not in strace.CANNOT_FAIL for error in ERRORS]

    def note(self, told, where):
        """A daemon that cannot continue, because it lost the bus for example, may exit; it must not die by a signal."""
        if told.kind == "refused" and not told.value.startswith(NAMED):
            self.found(where, "wrong", [f"an error that is not one of the project's: {told.value}"])
        # A call to the daemon finds out: a system call that strace let through in part fails only a moment later.
        if not self.let_finish():
            self.counts["ended"] += 1
            status = self.host.daemon.wait()
            if status < 0:
                self.found(where, "aborted", [f"by signal {-status}"])
            self.host.restart_daemon()
