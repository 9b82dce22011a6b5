# SPDX-License-Identifier: MIT
"""What one user can make the daemon hold (I8) is so little that other users do not notice, and the daemon gives all of
it back."""

import os
import socket
import statistics
import time
from collections import Counter

import pytest

from tests.bus.hostile import BY_NAME, PRESENT, HostileCallers
from tests.bus.ring import MANAGER, NO_LEASE, error_name
from tests.faults.actor import Actor, told_to_stop
from tests.faults.faults import FaultsRing, descriptors_at_rest, resident_kib, rounds
from tests.lib import kernel
from tests.lib.bus import SOCKET, Connection
from tests.lib.wire import Variant

pytestmark = pytest.mark.alone

MOST_TAPS = 32
SENT = 200
MOST_GROWTH_KIB = 4096
# A call that prompts a person for a password. No limit of taps applies to it.
PROMPTING = {"all": Variant("b", True), "interactive": Variant("b", True)}
# A call that polkit alone decides: a release of a lease that is not the caller's.
QUESTION = (*MANAGER[:2], f"{MANAGER[2]}.Release", "s", NO_LEASE)
BY_DESCRIPTOR = {"hold": Variant("s", "fd")}


def keep_asking(_, outstanding):
    """Send so many requests at once, then for each that polkit has decided two more, one of which exceeds the limit.
    Return how often each answer came. Runs in the actor until asked to stop."""
    answers, unanswered = Counter(), 0
    with Connection(None, timeout=30) as bus:
        wanted, stopped = outstanding, False
        while wanted or unanswered:
            for _ in range(wanted):
                bus.send(*QUESTION)
            unanswered += wanted
            name = bus.next(lambda message: message.reply_to).error_name
            answers[name] += 1
            unanswered -= 1
            stopped = stopped or told_to_stop()
            wanted = 0 if stopped or name == error_name("LimitExceeded") else 2
    return answers


class Limits(FaultsRing, HostileCallers):
    def cost(self):
        """Return the daemon's memory in KiB and the number of its descriptors."""
        return resident_kib(self.host.daemon.pid), descriptors_at_rest(self.host.daemon.pid)

    def acquires(self, bus, count):
        """Return the seconds of each Acquire; leases by name and by descriptors take turns."""
        took = []
        for number in range(count):
            by_name = number % 2 == 1
            start = time.monotonic()
            lease, _, descriptors = self.call(bus, "Acquire", "ua{sv}", 1, BY_NAME if by_name else BY_DESCRIPTOR)
            took.append(time.monotonic() - start)
            if by_name:
                self.call(bus, "Release", "s", lease)
            for descriptor in descriptors:
                os.close(descriptor)
        return took

    def fill(self, bus):
        """Bring a user to the limit of its taps, check that it is reached, and return the lease."""
        lease = self.call(bus, "Acquire", "ua{sv}", MOST_TAPS, BY_NAME)[0]
        self.assertEqual(self.errors(bus, self.acquire(bus, 1)), {error_name("LimitExceeded"): 1})
        return lease


class OthersWait(Limits):
    """Times are taken alternately with and without the load, so that other load on this machine affects both."""

    def compare(self, blocks, each, begin, end, most, **figures):
        bob, alice = self.connect("bob"), self.connect("alice")
        self.acquires(bob, 4)
        idle, beset = [], []
        for _ in range(blocks):
            idle += self.acquires(bob, each)
            lease = self.fill(alice)
            begin()
            beset += self.acquires(bob, each)
            end()
            self.call(alice, "Release", "s", lease)
        medians = [statistics.median(times) for times in (idle, beset)]
        self.show(**figures, acquires=f"{len(idle)} and {len(beset)}", median_idle=f"{medians[0] * 1000:.2f} ms",
                  median_under_load=f"{medians[1] * 1000:.2f} ms", ratio=f"{medians[1] / medians[0]:.2f}",
                  worst_idle=f"{max(idle) * 1000:.1f} ms", worst_under_load=f"{max(beset) * 1000:.1f} ms",
                  **{name.replace(" ", "_"): count for name, count in self.counts.items()})
        self.assertLessEqual(medians[1], most * medians[0])
        self.host.no_trace()

    def setUp(self):
        super().setUp()
        self.counts = Counter()

    def test_prompts(self):
        """Point 6: 200 unanswered prompts of a user at its limit slow another's Acquire at most twofold (I8)."""
        pending = []

        def begin():
            self.agent = self.silent_agent()
            buses = self.connections("alice", 2)
            sent = [[self.send(bus, "List", "a{sv}", PROMPTING) for _ in range(SENT // 2)] for bus in buses]
            for bus in buses:
                self.call(bus, "List", "a{sv}", {})  # calls are served in order, so the daemon has handled the others
            self.prompts_opened(self.agent, 1)
            for bus, serials in zip(buses, sent):
                refused = [answer.error_name for answer in self.answers(bus, serials)]
                self.counts["refused at once"] += refused.count(error_name("LimitExceeded"))
                self.counts["refused otherwise"] += len(refused) - refused.count(error_name("LimitExceeded"))
            pending[:] = zip(buses, sent)

        def end():
            waited = sum(len(serials) - len(self.answers(bus, serials)) for bus, serials in pending)
            self.counts["pending to the end"] += waited
            self.agent.close()
            for bus, serials in pending:
                self.errors(bus, serials)
                bus.close()

        blocks = rounds(4, 40)
        self.compare(blocks, 10, begin, end, 2, sent=f"{blocks} x {SENT}")
        self.assertEqual(self.counts, {"refused at once": blocks * (SENT - PRESENT), "refused otherwise": 0,
                                       "pending to the end": blocks * PRESENT})

    def test_questions(self):
        """Point 6: a user at its limit that asks without a pause slows another's Acquire at most threefold (I8)."""
        def begin():
            # The bus lets one connection have 128 calls open.
            self.actors = [Actor("alice") for _ in range(2)]
            for actor in self.actors:
                self.addCleanup(actor.end)
                actor.start(keep_asking, SENT // 2)

        def end():
            for actor in self.actors:
                actor.stop()
            for actor in self.actors:
                for name, count in actor.result().items():
                    self.counts[name.rpartition(".")[2]] += count
                actor.end()

        # There is always one question of alice's at polkit, which answers one question after the other.
        self.compare(rounds(4, 40), 10, begin, end, 3, at_once=SENT)


class GivenBack(Limits):
    def setUp(self):
        super().setUp()
        self.bob = self.connect("bob")
        self.acquires(self.bob, 4)
        self.before = self.cost()

    def demand(self, **figures):
        """Require bounded memory while the callers are connected, and all descriptors back after they are gone."""
        while_there = self.cost()
        self.acquires(self.bob, 2)
        yield
        self.settled(self.bob)
        kernel.wait_for(lambda: not kernel.ours(), "the leases of the callers that are gone end")
        after = self.cost()
        self.show(**figures, memory=f"{self.before[0]} KiB, growth while they were there "
                  f"{while_there[0] - self.before[0]} KiB, after {after[0] - self.before[0]} KiB",
                  descriptors=f"{self.before[1]}, {while_there[1]} and {after[1]}")
        self.assertEqual(after[1], self.before[1])
        self.assertLess(max(while_there[0], after[0]) - self.before[0], MOST_GROWTH_KIB)
        self.host.no_trace()

    def test_unread(self):
        """Point 6: callers that never read long answers cost less than 4 MiB and no descriptor (I8)."""
        lease = self.fill(self.bob)
        readers, each = self.connections("bob", 4), rounds(300, 3000)
        for bus in readers:
            for number in range(each):
                if number % 10:
                    self.send(bus, "List", "a{sv}", {})
                else:
                    self.send(bus, "Release", "s", NO_LEASE)
        self.call(self.bob, "Release", "s", lease)
        demand = self.demand(callers=len(readers), calls_never_read=len(readers) * each)
        next(demand)
        for bus in readers:
            bus.close()
        next(demand, None)

    def test_half_open(self):
        """Point 6: callers that never authenticate or stop within a call cost under 4 MiB and no descriptor (I8)."""
        strangers = []
        for _ in range(40):
            strangers.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            strangers[-1].connect(SOCKET)
        callers = self.connections("dave", 40)
        for bus in callers:
            bus.socket.sendall(b"l\1\0\1\xff\xff\0\0\1\0\0\0")
        demand = self.demand(unnamed=len(strangers), within_a_call=len(callers))
        next(demand)
        for end in (*strangers, *callers):
            end.close()
        next(demand, None)

    def test_gone(self):
        """Point 6: callers that connect, call and disconnect leave no descriptor and take less than 4 MiB (I8)."""
        count = rounds(500, 5000)
        calls = (("List", "a{sv}", {}), ("Acquire", "ua{sv}", 1, BY_DESCRIPTOR), ("Release", "s", NO_LEASE),
                 ("Acquire", "ua{sv}", 1, BY_NAME), ("List", "a{sv}", {"all": Variant("b", True)}))
        for number in range(count):
            with self.host.connect(("alice", "dave")[number % 2]) as bus:
                self.send(bus, *calls[number % len(calls)])
        demand = self.demand(connections=count)
        next(demand)
        next(demand, None)
