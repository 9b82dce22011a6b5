# SPDX-License-Identifier: MIT
"""Shared by the tests of callers that read nothing: connections with a full queue, and how fast others are served."""

import statistics
import time

from tests.bus.hostile import HostileCallers
from tests.lib import kernel
from tests.lib.bus import SIGNAL, Variant

NO_REPLY = 1
# One tap with the largest number of descriptors.
MANY_QUEUES = {"queues": Variant("u", 16)}
# The service's limits on unread hand-overs, per user and for all users.
UNREAD, UNREAD_IN_ALL = 4, 48
# The longest wait for an answer during an attack: in seconds, or as a multiple of the wait without an attack, which the
# test measures. A service that waited for callers that read nothing would take seconds, or for ever.
WELL_SERVED, FACTOR = 0.1, 10


class Unread(HostileCallers):
    def filled(self, user):
        """A connection whose queue is full: the bus keeps all further messages to it."""
        bus = self.connect(user)
        for _ in range(64):
            bus.send(bus.name, "/x", "x.x.X", "s", "x" * 8000, flags=NO_REPLY, kind=SIGNAL)
        return bus

    def list_seconds(self, bus):
        start = time.monotonic()
        self.call(bus, "List", "a{sv}", {})
        return time.monotonic() - start

    def median(self, buses, times=15):
        return statistics.median(self.list_seconds(bus) for _ in range(times) for bus in buses)

    def attack(self, *users, connections=6):
        """Each user requests a lease on so many connections and reads no answer; returns (connection, serial) pairs."""
        asked = []
        for user in users:
            for _ in range(connections):
                bus = self.filled(user)
                asked.append((bus, self.send(bus, "Acquire", "ua{sv}", 1, MANY_QUEUES)))
        return asked

    def settle(self, count):
        """Waits until as many taps exist as can be handed over."""
        kernel.wait_for(lambda: len(kernel.ours()) >= count, f"{count} taps exist")

    def assert_served(self, idle, *buses):
        beset = self.median(buses)
        self.shows = f"List of others: idle {idle * 1000:.1f} ms, under attack {beset * 1000:.1f} ms"
        self.assertLess(beset, max(WELL_SERVED, FACTOR * idle))
