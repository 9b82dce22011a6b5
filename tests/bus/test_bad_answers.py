# SPDX-License-Identifier: MIT
"""A service that breaks its promises: the client takes no descriptors but those that it is owed, says so, and waits for
nothing that does not come."""

import itertools
import os
import socket
import threading

from rig.bus import BUS, CALL, DESCRIPTORS, DESTINATION, REPLY_TO, RETURN, SIGNATURE, Disconnected, Variant
from rig.wire import Encoder
from ring import MANAGER, BusRing

LEASE = "0123456789abcdef"
TAP = {"name": Variant("s", "tap8"), "index": Variant("u", 8), "gateway": Variant("s", "192.168.8.1"),
       "client": Variant("s", "192.168.8.2"), "prefix-length": Variant("u", 24),
       "mac": Variant("s", "52:54:00:01:00:08"), "queues": Variant("u", 1), "vhost": Variant("b", False)}


def some_descriptors(count):
    return [os.open("/dev/null", os.O_RDWR) for _ in range(count)]


def hand_over(descriptors, payload=b"x"):
    """A socket as the service's is, with so many descriptors in its queue."""
    ours, theirs = socket.socketpair()
    if payload:
        socket.send_fds(ours, [payload], some_descriptors(descriptors))
    # Our end stays open: a client that waited would wait for ever.
    return [theirs.detach()], ours


class Forger(threading.Thread):
    """Owns the service's name and answers each Acquire with the next of these lists of descriptors, by name, and
    everything else with nothing; which leases were released, it remembers."""

    def __init__(self, bus, answers):
        super().__init__(daemon=True)
        self.bus = bus
        self.answers = iter(answers)
        self.released = []

    def answer(self, call, signature, arguments, descriptors):
        body = Encoder().values(signature, arguments).body
        fields = [(REPLY_TO, Variant("u", call.serial)), (DESTINATION, Variant("s", call.sender)),
                  (SIGNATURE, Variant("g", signature))]
        fields += [(DESCRIPTORS, Variant("u", len(descriptors)))] if descriptors else []
        head = Encoder().values("yyyyuua(yv)", (ord("l"), RETURN, 1, 1, len(body), next(self.bus.serials), fields))
        head.align(8)
        socket.send_fds(self.bus.socket, [bytes(head.body + body)], descriptors)

    def run(self):
        try:
            while True:
                call = self.bus.next(lambda message: message.kind == CALL, timeout=60)
                if call.member.endswith(".Acquire"):
                    descriptors = next(self.answers)
                    self.answer(call, "saa{sv}ah", (LEASE, [TAP], list(range(len(descriptors)))), descriptors)
                else:
                    self.released += call.body
                    self.answer(call, "", (), [])
        except (Disconnected, OSError, StopIteration, TimeoutError):
            pass


class BadAnswers(BusRing):
    options = None

    def test_descriptors(self):
        """None, two, no socket, no message, none or too many descriptors in it, a closed socket: status 1, a text, the
        lease is given back, and nothing waits."""
        closed, other = socket.socketpair()
        other.close()
        forms = {
            "none": ([], None, "0 descriptors"),
            "two": (hand_over(1)[0] * 2, None, "2 descriptors"),
            "a file": (some_descriptors(1), None, "of this client's version"),
            "no message": (*hand_over(0, payload=b""), "0 descriptors"),
            "a message without": (*hand_over(0), "0 descriptors"),
            "too many": (*hand_over(2), "2 descriptors"),
            "closed": ([closed.detach()], None, "0 descriptors"),
        }
        bus = self.host.connect()
        self.addCleanup(bus.close)
        bus.call(*BUS[:2], f"{BUS[2]}.RequestName", "su", MANAGER[0], 4)
        forger = Forger(bus, itertools.chain(form[0] for form in forms.values()))
        forger.start()
        for name, (_, _, word) in forms.items():
            with self.subTest(form=name):
                self.assert_refused(self.ctl("alice", "run", "--", "true", timeout=20), 1, word)
                self.assertEqual(forger.released, [LEASE])
                forger.released.clear()

    def test_as_promised(self):
        """The same service with the right answer: the command is run."""
        bus = self.host.connect()
        self.addCleanup(bus.close)
        bus.call(*BUS[:2], f"{BUS[2]}.RequestName", "su", MANAGER[0], 4)
        answer, ours = hand_over(1)
        self.addCleanup(ours.close)
        Forger(bus, [answer]).start()
        self.ok("alice", "run", "--", "true", "{fds0}")
