# SPDX-License-Identifier: MIT
"""Each of the daemon's system calls in turn fails, with each errno that a kernel under pressure has: it gives a
complete lease, or a named error without a trace (I9), and does not abort. That a lease is as promised is read from the
kernel, by programs that are not the daemon (I5)."""

import strace
from sweep import Sweep

ERRORS = ("EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "ENOSPC", "EINTR", "EBUSY", "EPERM", "EAGAIN")
NAMED = "org.qemutap1.Error."


class Errors(Sweep):
    children = True
    shown = ("answered", "refused", "unanswered", "cut", "ended", "aborted", "leaked", "broken", "lost", "wrong")

    def faults_at(self, operation, points):
        return [(strace.failing(point, error), f"{error} of {point.call} {point.number}")
                for point in operation.own(points) if point.call not in strace.CANNOT_FAIL for error in ERRORS]

    def note(self, told, where):
        """A daemon that can't go on, as when the bus is lost to it, ends by itself."""
        if told.kind == "refused" and not told.value.startswith(NAMED):
            self.found(where, "wrong", [f"an error without a name of ours: {told.value}"])
        # Asked, not looked for: a call of which strace lets go half made fails a moment later.
        if not self.let_finish():
            self.counts["ended"] += 1
            status = self.host.daemon.wait()
            if status < 0:
                self.found(where, "aborted", [f"by signal {-status}"])
            self.host.restart_daemon()
