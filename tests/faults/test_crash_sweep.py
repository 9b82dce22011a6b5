# SPDX-License-Identifier: MIT
"""The daemon ends, by SIGKILL, before each of its system calls in turn. The kernel is the lease store, so whatever the
moment: after one clean restart there is nothing, or a complete lease, and what a caller had been told of is there
(I1, I9)."""

import os

import strace
from operations import ACQUIRES, IdleEnd, Leave, Release, Start
from rig import furnish, kernel
from sweep import SETTLED, Sweep


class Crashes(Sweep):
    shown = ("answered", "refused", "cut", "not reached", "leaked", "broken", "lost", "wrong")

    def faults_at(self, _, points):
        return [(strace.killing(point), f"SIGKILL before {point.call} {point.number}") for point in points]

    def note(self, told, where):
        self.counts["not reached"] += self.host.daemon.alive() or self.host.daemon.wait() >= 0
        self.host.restart_daemon()

    @staticmethod
    def marks():
        """The directory comes with the first of them."""
        try:
            return os.listdir(furnish.RUNQEMU_LOCKS)
        except FileNotFoundError:
            return []

    def leases_beside_bystanders(self, where):
        """Besides, each tap has its file for runqemu and no other is left."""
        leases, differing = super().leases_beside_bystanders(where), []

        def settled():
            nonlocal differing
            taps = [tap["name"] for lease in self.everyone() for tap in lease["taps"]]
            wanted = {f"{name}.skip" for name in taps if name.startswith("tap")}  # its own runqemu takes any other
            differing = sorted(wanted ^ set(self.marks()))
            return not differing
        kernel.seconds_until(settled, SETTLED)
        self.found(where, "broken", [f"{file} without its tap, or missing" for file in differing])
        return leases

    def sweep(self, *operations, sample=10):
        super().sweep(*operations, sample=sample)
        # The calls are not the same each time (what a read of netlink finds depends on the moment), but nearly.
        self.assertLess(self.counts["not reached"], self.counts["points"] / 4 + 2)


class Requests(Crashes):
    def test_acquire(self):
        """Point 1: SIGKILL before each system call of Acquire (both holds, 1 and 3 taps, 1 and 2 queues) (I1, I9)"""
        self.sweep(*ACQUIRES)

    def test_release(self):
        """Point 1: SIGKILL before each system call of Release (I1)"""
        self.sweep(Release())

    def test_idle_end(self):
        """Point 1: SIGKILL before each system call of a lease's end by its idle timeout (I1)"""
        self.sweep(IdleEnd(), sample=4)

    def test_start(self):
        """Point 1: SIGKILL before each system call of a start with leases there, and half of one (I1)"""
        self.sweep(Start())


class Leaving(Crashes):
    held = ()  # any tap would keep the daemon

    def test_leaving(self):
        """Point 1: SIGKILL before each system call of the daemon's leaving when it is idle (I1)"""
        self.sweep(Leave(), sample=4)
