# SPDX-License-Identifier: MIT
"""SIGKILL ends the daemon before each of its system calls in turn. The kernel is the lease store, so whatever the
moment, after one clean restart there is no lease or a complete one, and each lease that a caller received exists
(I1, I9). The sweep of Acquire covers both holds, 1 and 3 taps, and 1 and 2 queues."""

import os

from tests.faults import strace
from tests.faults.operations import ACQUIRES, IdleEnd, Leave, Release, Start
from tests.faults.sweep import SETTLED, Sweep
from tests.lib import furnish, kernel


class Crashes(Sweep):
    shown = ("answered", "refused", "cut", "not reached", "leaked", "broken", "lost", "wrong")

    def faults_at(self, _, points):
        return [(strace.killing(point), f"SIGKILL before {point.call} {point.number}") for point in points]

    def note(self, told, where):
        self.counts["not reached"] += self.host.daemon.alive() or self.host.daemon.wait() >= 0
        self.host.restart_daemon()

    @staticmethod
    def marks():
        """Return the files that exclude taps from runqemu. The daemon makes their directory with the first one."""
        try:
            return os.listdir(furnish.RUNQEMU_LOCKS)
        except FileNotFoundError:
            return []

    def leases_beside_bystanders(self, where):
        """Require also that each tap has its file for runqemu, and that no other file is left."""
        leases, differing = super().leases_beside_bystanders(where), []

        def settled():
            nonlocal differing
            taps = [tap["name"] for lease in self.everyone() for tap in lease["taps"]]
            wanted = {f"{name}.skip" for name in taps if name.startswith("tap")}  # `qemu-tapctl runqemu` needs none
            differing = sorted(wanted ^ set(self.marks()))
            return not differing
        kernel.seconds_until(settled, SETTLED)
        self.found(where, "broken", [f"{file} without its tap, or missing" for file in differing])
        return leases

    def sweep(self, *operations, sample=10):
        super().sweep(*operations, sample=sample)
        # The calls differ a little each time, because what a read of netlink returns depends on the moment.
        self.assertLess(self.counts["not reached"], self.counts["points"] / 4 + 2)


class Requests(Crashes):
    def test_acquire(self):
        """Point 1: SIGKILL before any system call of Acquire leaves a whole lease or none, of every kind (I1, I9)."""
        self.sweep(*ACQUIRES)

    def test_release(self):
        """Point 1: SIGKILL before any system call of Release leaves a whole lease or none (I1)."""
        self.sweep(Release())

    def test_idle_end(self):
        """Point 1: SIGKILL before any system call at an idle timeout leaves a whole lease or none (I1)."""
        self.sweep(IdleEnd(), sample=4)

    def test_start(self):
        """Point 1: SIGKILL before any system call of a start loses no lease, and half a lease is removed (I1)."""
        self.sweep(Start())


class Leaving(Crashes):
    held = ()  # the daemon does not exit while there is a tap

    def test_leaving(self):
        """Point 1: SIGKILL before any system call of the idle exit leaves no trace (I1)."""
        self.sweep(Leave(), sample=4)
