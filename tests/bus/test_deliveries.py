# SPDX-License-Identifier: MIT
"""Answers that the bus did not deliver (I7): the lease of a caller that has left ends, and no other lease does,
whatever the text of the bus's error contains."""

import subprocess
import sys

from tests.bus import full_queue
from tests.bus.ring import BusRing
from tests.lib import kernel
from tests.lib.bus import Variant

BY_NAME = {"hold": Variant("s", "name")}
ROUNDS = 30


class Deliveries(BusRing):
    members = ("alice",)

    def connect(self, user):
        bus = self.host.connect(user, timeout=30)
        self.addCleanup(bus.close)
        return bus

    def full_queue(self, user, word):
        """Starts a process of that user, with this word as its name, that makes the bus refuse answers all the time."""
        popen = self.host.start(user, word, "-m", "tests.bus.full_queue", executable=sys.executable, stdin=subprocess.PIPE,
                                stderr=None, environment={"PYTHONPATH": self.host.source})
        self.addCleanup(self._end, popen)
        self.assertEqual(popen.stdout.readline(), b"full\n")

    def test_quoted_name(self):
        """A user with undeliverable answers whose command line names another caller ends none of its 30 leases (I7)."""
        alice = self.connect("alice")
        self.full_queue("bob", f" {alice.name} ")
        leases = []
        for _ in range(ROUNDS):
            leases.append(self.call(alice, "Acquire", "ua{sv}", 1, BY_NAME)[0])
            # The service handles this after everything that the bus had sent before.
            self.call(alice, "List", "a{sv}", {})
        kept = {lease["lease"] for lease in self.leases("alice")}
        self.shows = f"{len(set(leases) - kept)} of {ROUNDS} leases ended by another user"
        self.assertEqual(set(leases) - kept, set())

    def test_alive(self):
        """A caller that is still connected keeps its lease, though its queue is full and the answer is lost (I7)."""
        alice = self.connect("alice")
        full_queue.fill(alice, [self.connect("bob"), self.connect("dave")])
        self.send(alice, "Acquire", "ua{sv}", 1, BY_NAME)
        kernel.wait_for(lambda: kernel.ours(), "the lease is made")
        for _ in range(3):
            self.assertEqual(len(self.leases("alice")), 1)
        kernel.stays(kernel.present("tap8"), 0.5, "a connected caller keeps its lease")
        alice.close()
        self.assertEqual(len(self.leases("alice")), 1)

    def test_gone(self):
        """If a caller leaves before the answer, its lease is made and then ends (I1)."""
        root = self.connect("root")
        self.call(root, "List", "a{sv}", {})  # the service now knows this caller's uid
        with self.host.connect() as watcher:
            self.host.daemon.freeze()
            for _ in range(3):
                self.send(root, "Acquire", "ua{sv}", 1, BY_NAME)
            # The bus forwards the calls before it announces that their sender has left.
            root.close()
            watcher.wait_for_owner(root.name, present=False)
            self.host.daemon.thaw()
        with self.host.connect() as behind:
            self.call(behind, "List", "a{sv}", {})
        kernel.wait_for(lambda: not kernel.ours(), "the leases end")
        self.assertEqual(self.host.daemon.log().count("given: "), 3)
        self.host.no_trace()
