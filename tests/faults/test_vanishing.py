# SPDX-License-Identifier: MIT
"""Callers who leave while they are being authorised (I1, I7): whom the bus could not hand the answer has no lease, and
whom it could keeps it. The moment is random, so both sides of each moment are met, in a daemon that has sanitizers
built in and says so if it touches what went with the caller."""

import collections
import concurrent.futures
import contextlib
import heapq
import os
import random
import re
import socket
import time

from faults import FaultsRing, close_all, descriptors_at_rest, rounds  # first: it says where ring is
from rig import kernel
from rig.bus import BUS, RETURN, BusError, Disconnected
from rig.host import Host
from rig.wire import Variant
from ring import NO_LEASE

SANITIZED = os.environ.get("QEMU_TAPCTL_SANITIZED")
IN_FLIGHT = 6
# Between two looks at the kernel; of three users, each within the 32 taps that one may hold.
BATCH = 48
REPORT = re.compile(r"Sanitizer|runtime error")
LEASE = re.compile(re.escape(kernel.ALIAS) + r"i=([0-9a-f]{16}) ")


def leases_in_kernel():
    """The leases whose taps exist, by the kernel's word."""
    found = set()
    for name in os.listdir("/sys/class/net"):
        try:
            with open(f"/sys/class/net/{name}/ifalias", encoding="ascii", errors="replace") as file:
                found.update(LEASE.findall(file.read()))
        except OSError:
            pass  # it went between the two looks
    return found


class Leaver:
    """A caller who asks for a lease and has left before the answer came, or has not: which, is known exactly."""

    def __init__(self, bus, serial, hold):
        self.bus = bus
        self.serial = serial
        self.hold = hold

    def leave(self):
        """The answer that the bus had handed over by the instant of leaving, if it had."""
        # From here on the bus can write nothing more to us, and what it had written can still be read.
        self.bus.socket.shutdown(socket.SHUT_RDWR)
        try:
            return self.bus.reply(self.serial, timeout=0)
        except Disconnected:
            return None
        finally:
            self.bus.close()


class Ear:
    """Hears, in the bus's own order, which leases held by name are passed on to a caller, and which callers go. Whose
    going the bus had not seen when it passed the answer on was told, as far as anybody can know, and has a lease: who
    reads the answer and ends at once looks the same."""

    def __init__(self, bus):
        self.bus = bus
        self.gone = set()
        self.delivered = set()
        self.closers = concurrent.futures.ThreadPoolExecutor(4)
        bus.watch("type='method_return',sender='org.qemutap1'",
                  f"type='signal',sender='{BUS[0]}',member='NameOwnerChanged'")

    def listen(self):
        """Takes in all that has been heard so far."""
        with contextlib.suppress(TimeoutError):
            while True:
                message = self.bus.next(timeout=0)
                if message.member == f"{BUS[2]}.NameOwnerChanged":
                    name, _, owner = message.body
                    self.gone.update([name] if not owner else [])
                elif message.kind == RETURN and len(message.body) == 3:
                    lease, _, descriptors = message.body
                    # An eavesdropper is sent the descriptors too, and must not be who keeps the taps.
                    for descriptor in descriptors:
                        self.closers.submit(os.close, descriptor)
                    if not descriptors and message.destination not in self.gone:
                        self.delivered.add(lease)

    def close(self):
        self.listen()
        self.closers.shutdown()


class Vanishing(FaultsRing):
    @classmethod
    def setUpClass(cls):
        if not SANITIZED:
            raise RuntimeError("QEMU_TAPCTL_SANITIZED does not name a build directory with sanitizers")
        cls.host = Host(build=SANITIZED)

    def setUp(self):
        super().setUp()
        self.pid = self.host.daemon.pid
        self.ear = Ear(self.connect())
        self.addCleanup(self.ear.close)
        self.askers = {user: self.connect(user) for user in self.members}
        self.counts = collections.Counter()
        # How long a caller waits at most: what an answer takes among so many, at first, then as it turns out.
        self.patience = 0.03

    def ask(self, number):
        user, hold = self.members[number % len(self.members)], random.choice(("fd", "name"))
        bus = self.host.connect(user)
        options = {"hold": Variant("s", hold), "queues": Variant("u", random.choice((1, 2)))}
        return Leaver(bus, self.send(bus, "Acquire", "ua{sv}", random.choice((1, 2)), options), hold)

    def batch(self, count):
        """So many callers, some always in flight; the leases that were handed over and have to be kept."""
        kept, in_flight, held, asked = set(), [], [], 0
        while asked < count or in_flight:
            while asked < count and len(in_flight) < IN_FLIGHT:
                leaver = self.ask(asked)
                heapq.heappush(in_flight, (time.monotonic() + random.uniform(0, self.patience), asked, leaver))
                asked += 1
            due, _, leaver = heapq.heappop(in_flight)
            time.sleep(max(0, due - time.monotonic()))
            answer = leaver.leave()
            self.ear.listen()
            self.counts[leaver.hold] += 1
            # One in four is answered: nearly all moments then lie within the authorisation, and some at its very end.
            self.patience *= 0.97 if answer else 1.01
            self.counts["answered" if answer else "left before"] += 1
            if answer:
                lease, _, descriptors = answer
                held += descriptors
                kept.update([lease] if not descriptors else [])
        close_all(held)
        return kept

    def dealt_with(self):
        """Returns when the daemon has dealt with all callers that were there: polkit answers one user's in order."""
        for user in self.members:
            with self.assertRaises(BusError):
                self.call(self.askers[user], "Release", "s", NO_LEASE)

    def left(self, kept):
        """The leases that are there, though nobody was told of them, as known by now."""
        self.ear.listen()
        return leases_in_kernel() - kept - self.ear.delivered

    def judge(self, root, kept):
        """Counts what differs from what was handed over, once it has had time to end, and clears the host."""
        self.dealt_with()
        kernel.seconds_until(lambda: not self.left(kept), 20)
        self.counts["left behind"] += len(self.left(kept))
        found = leases_in_kernel()
        self.counts["passed on in vain"] += len((found - kept) & self.ear.delivered)
        self.counts["lost"] += len(kept - found)
        for serial in [self.send(root, "Release", "s", lease) for lease in found]:
            root.reply(serial)

    def descriptors(self):
        return descriptors_at_rest(self.pid)

    def complaints(self):
        lines = self.host.daemon.log().splitlines()
        return ([line for line in lines if not line.startswith("qemu-tapd: info: ")],
                [line for line in lines if REPORT.search(line)])

    def test_during_authorisation(self):
        """Point 7: callers who leave while authorised, with sanitizers: no lease stays, nothing breaks (I1, I7)."""
        total, daemon = rounds(400, 10_000), self.host.daemon
        root = self.connect()
        self.judge(root, self.batch(BATCH))
        self.counts.clear()
        before = self.descriptors()
        for done in range(0, total, BATCH):
            self.judge(root, self.batch(min(BATCH, total - done)))
        more, alive = self.descriptors() - before, daemon.alive()
        # What leaked is found when it ends.
        status = daemon.terminate()
        errors, reports = self.complaints()
        counts = self.counts
        self.show(callers=total, of_hold_fd=counts["fd"], of_hold_name=counts["name"], in_flight=IN_FLIGHT,
                  left_before_the_answer=counts["left before"], leases_left_behind=counts["left behind"],
                  answered=counts["answered"], leases_lost=counts["lost"],
                  passed_on_by_the_bus_to_one_just_gone=counts["passed on in vain"], more_descriptors=more,
                  restarts=int(not alive), error_lines=len(errors), sanitizer_reports=len(reports), exit_status=status)
        self.assertEqual((counts["left behind"], counts["lost"], more), (0, 0, 0))
        self.assertEqual((alive, errors, reports, status), (True, [], [], 0))
        self.host.no_trace()
