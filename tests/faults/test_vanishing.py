# SPDX-License-Identifier: MIT
"""Callers disconnect while they are being authorised (I1, I7). A caller to which the bus could not deliver the answer
has no lease, and one that received the answer keeps its lease. The moment is random, so each step is disturbed just
before and just after it. The daemon is built with sanitizers, which report any use of a caller's data after its end."""

import collections
import concurrent.futures
import contextlib
import heapq
import os
import random
import re
import socket
import time

from tests.bus.ring import NO_LEASE
from tests.faults.faults import FaultsRing, close_all, descriptors_at_rest, rounds  # first: it says where ring is
from tests.lib import kernel
from tests.lib.bus import BUS, RETURN, BusError, Disconnected
from tests.lib.host import Host
from tests.lib.wire import Variant

SANITIZED = os.environ.get("QEMU_TAPCTL_SANITIZED")
IN_FLIGHT = 6
# Callers between two looks at the kernel. They are of three users, each of whom stays within its 32 taps.
BATCH = 48
REPORT = re.compile(r"Sanitizer|runtime error")
LEASE = re.compile(re.escape(kernel.ALIAS) + r"i=([0-9a-f]{16}) ")


def leases_in_kernel():
    """Return the leases whose taps exist in the kernel."""
    found = set()
    for name in os.listdir("/sys/class/net"):
        try:
            with open(f"/sys/class/net/{name}/ifalias", encoding="ascii", errors="replace") as file:
                found.update(LEASE.findall(file.read()))
        except OSError:
            pass  # it was deleted after the directory was read
    return found


class Leaver:
    """A caller that asks for a lease and disconnects. It knows exactly whether the answer had arrived by then."""

    def __init__(self, bus, serial, hold):
        self.bus = bus
        self.serial = serial
        self.hold = hold

    def leave(self):
        """Disconnect; return the answer if the bus had delivered it by that instant."""
        # From here on the bus can write nothing more to this socket, and what it had written can still be read.
        self.bus.socket.shutdown(socket.SHUT_RDWR)
        try:
            return self.bus.reply(self.serial, timeout=0)
        except Disconnected:
            return None
        finally:
            self.bus.close()


class Ear:
    """Eavesdrops on the bus, and so learns in the bus's own order which leases by name are delivered and which callers
    disconnect. A caller counts as informed if the bus delivered the answer before it saw the caller disconnect: this
    looks the same as a caller that reads the answer and exits at once."""

    def __init__(self, bus):
        self.bus = bus
        self.gone = set()
        self.delivered = set()
        self.closers = concurrent.futures.ThreadPoolExecutor(4)
        bus.watch("type='method_return',sender='org.qemutap1'",
                  f"type='signal',sender='{BUS[0]}',member='NameOwnerChanged'")

    def listen(self):
        """Process all messages that have arrived so far."""
        with contextlib.suppress(TimeoutError):
            while True:
                message = self.bus.next(timeout=0)
                if message.member == f"{BUS[2]}.NameOwnerChanged":
                    name, _, owner = message.body
                    self.gone.update([name] if not owner else [])
                elif message.kind == RETURN and len(message.body) == 3:
                    lease, _, descriptors = message.body
                    # The bus sends the descriptors to an eavesdropper too; close them, or the taps would live on.
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
        # The longest time that a caller waits: at first an estimate for so many callers, then adjusted to the answers.
        self.patience = 0.03

    def ask(self, number):
        user, hold = self.members[number % len(self.members)], random.choice(("fd", "name"))
        bus = self.host.connect(user)
        options = {"hold": Variant("s", hold), "queues": Variant("u", random.choice((1, 2)))}
        return Leaver(bus, self.send(bus, "Acquire", "ua{sv}", random.choice((1, 2)), options), hold)

    def batch(self, count):
        """Run so many callers, several at a time; return the leases that were delivered and must therefore stay."""
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
            # Aim at one answer in four: nearly all moments then lie within the authorisation, some at its very end.
            self.patience *= 0.97 if answer else 1.01
            self.counts["answered" if answer else "left before"] += 1
            if answer:
                lease, _, descriptors = answer
                held += descriptors
                kept.update([lease] if not descriptors else [])
        close_all(held)
        return kept

    def dealt_with(self):
        """Wait until the daemon has handled all callers: polkit answers the questions of one user in order."""
        for user in self.members:
            with self.assertRaises(BusError):
                self.call(self.askers[user], "Release", "s", NO_LEASE)

    def left(self, kept):
        """Return the leases that exist although, as far as is known by now, no caller received them."""
        self.ear.listen()
        return leases_in_kernel() - kept - self.ear.delivered

    def judge(self, root, kept):
        """Count where the leases, after time to end, differ from those that were delivered; then release them all."""
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
        """Point 7: callers that disconnect during authorisation leave no lease and break nothing (I1, I7)."""
        total, daemon = rounds(400, 10_000), self.host.daemon
        root = self.connect()
        self.judge(root, self.batch(BATCH))
        self.counts.clear()
        before = self.descriptors()
        for done in range(0, total, BATCH):
            self.judge(root, self.batch(min(BATCH, total - done)))
        more, alive = self.descriptors() - before, daemon.alive()
        # The sanitizer reports leaks when the daemon exits.
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
