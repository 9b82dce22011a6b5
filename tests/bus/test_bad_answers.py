# SPDX-License-Identifier: MIT
"""Against a service that breaks the protocol, the client accepts only the descriptors that it asked for, reports the
error, and does not wait for what never comes."""

import itertools
import os
import socket
import threading

from tests.bus.ring import MANAGER, BusRing
from tests.lib.bus import BUS, CALL, DESCRIPTORS, DESTINATION, REPLY_TO, RETURN, SIGNATURE, Disconnected, Variant
from tests.lib.wire import Encoder

LEASE = "0123456789abcdef"
TAP = {"name": Variant("s", "tap8"), "index": Variant("u", 8), "gateway": Variant("s", "192.168.8.1"),
       "client": Variant("s", "192.168.8.2"), "prefix-length": Variant("u", 24),
       "mac": Variant("s", "52:54:00:01:00:08"), "queues": Variant("u", 1), "vhost": Variant("b", False)}


def some_descriptors(count):
    return [os.open("/dev/null", os.O_RDWR) for _ in range(count)]


def hand_over(descriptors, payload=b"x"):
    """A socket that carries so many descriptors, as the service's answer does."""
    ours, theirs = socket.socketpair()
    if payload:
        socket.send_fds(ours, [payload], some_descriptors(descriptors))
    # This end stays open, so a client that waited for more would wait for ever.
    return [theirs.detach()], ours


class Forger(threading.Thread):
    """Owns the service's bus name. It answers each Acquire with the next of these descriptor lists, answers every other
    call with an empty message, and remembers which leases were released."""

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
        """On an answer with wrong descriptors the client fails with status 1, releases the lease and never hangs.
        Wrong are: none, two, not a socket, no message, none or too many descriptors in it, a closed socket."""
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
        """When a service answers by the protocol the client runs the command."""
        bus = self.host.connect()
        self.addCleanup(bus.close)
        bus.call(*BUS[:2], f"{BUS[2]}.RequestName", "su", MANAGER[0], 4)
        answer, ours = hand_over(1)
        self.addCleanup(ours.close)
        Forger(bus, [answer]).start()
        self.ok("alice", "run", "--", "true", "{fds0}")
