# SPDX-License-Identifier: MIT
"""The daemon ends, by SIGKILL, before each of its system calls in turn. The kernel is the lease store, so whatever the
moment: what is left is nothing, a complete lease, or an incomplete one that the next start removes (I1, I9)."""

import collections
import random

import strace
from figures import FULL
from rig import kernel
from rig.wire import Variant
from sweep import ACQUIRES, IdleEnd, Leave, Release, Start, SweepRing, shortcomings

# In a short run, of each operation so many points, others each time.
SAMPLE = 10
# A restarted daemon has swept what was incomplete, and a lease's idle timeout was a second.
SETTLED = 3


class Crashes(SweepRing):
    """After each crash one clean restart, and then: all there is belongs to a complete lease, and none is lost that a
    caller had been told of."""

    # What others hold all the while must never be lost: a lease of each kind.
    held = ({"hold": Variant("s", "name")}, {"hold": Variant("s", "fd"), "queues": Variant("u", 2)})

    def setUp(self):
        super().setUp()
        self.counts = collections.Counter()
        self.problems = []
        self.holder = self.host.connect("bob")
        self.addCleanup(self.holder.close)
        for options in self.held:
            self.call(self.holder, "Acquire", "ua{sv}", 2, options)
        self.bystanders = self.everyone()
        self.before = kernel.snapshot()

    def chosen(self, points, sample):
        self.assertGreater(len(points), 10, "nothing was recorded")
        self.counts["of"] += len(points)
        return points if FULL else random.sample(points, min(sample, len(points)))

    def show_counts(self):
        of = {"of": self.counts["of"]} if not FULL else {}
        self.show(points=self.counts["points"], **of, answered=self.counts["answered"],
                  refused=self.counts["refused"], cut=self.counts["cut"], not_reached=self.counts["not reached"],
                  leaked=self.counts["leaked"], lost=self.counts["lost"])

    def leases_beside_bystanders(self, where):
        """After a restart: all there is belongs to a lease, and the bystanders' are as they were."""
        leases, left = [], []

        def accounted():
            nonlocal leases, left
            leases = self.everyone()
            left = self.unaccounted(leases)
            return not left
        kernel.seconds_until(accounted, SETTLED)
        self.counts["leaked"] += len(left)
        lost = [lease for lease in self.bystanders if lease not in leases]
        self.counts["lost"] += len(lost)
        broken = [line for lease in leases for line in shortcomings(lease)]
        self.problems += [f"{where}: {line}" for line in [*left, *broken, *(f"lost: {lease}" for lease in lost)]]
        return [lease for lease in leases if lease not in self.bystanders]

    def back_to_start(self, where):
        self.hang_up()
        with self.host.connect() as root:
            for lease in self.everyone():
                if lease not in self.bystanders:
                    self.call(root, "Release", "s", lease["lease"])
        left = kernel.differences(self.before, kernel.snapshot())
        self.counts["leaked"] += len(left)
        self.problems += [f"{where}: {line}" for line in left]

    def crash(self, operation, point):
        operation.prepare(self)
        told = operation.disturbed(self, strace.killing(point))
        self.counts["points"] += 1
        self.counts["not reached"] += self.host.daemon.alive() or self.host.daemon.wait() >= 0
        self.counts[told.kind] += 1
        self.host.restart_daemon()
        where = f"{operation.title}, {point.call} {point.number}"
        wrong = operation.wrong(told, self.leases_beside_bystanders(where))
        self.counts["lost"] += len(wrong)
        self.problems += [f"{where}: {line}" for line in wrong]
        self.back_to_start(where)

    def sweep(self, *operations, sample=SAMPLE):
        for operation in operations:
            operation.prepare(self)
            operation.disturbed(self, strace.recording())
            self.host.restart_daemon()
            self.back_to_start("record")
            for point in self.chosen(strace.read_record(), sample):
                self.crash(operation, point)
        self.show_counts()
        self.assertEqual(self.problems, [])
        # The calls are not the same each time (what a read of netlink finds depends on the moment), but nearly.
        self.assertLess(self.counts["not reached"], self.counts["points"] / 4)


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
    # A lease by descriptor would keep the daemon.
    held = ({"hold": Variant("s", "name")},)

    def test_leaving(self):
        """Point 1: SIGKILL before each system call of the daemon's leaving when it is idle (I1)"""
        self.sweep(Leave(), sample=4)
