# SPDX-License-Identifier: MIT
"""A lease is a promise of a number of queues. The kernel lets the owner attach up to 256 queues to a multi-queue tap by
its name; the service ends a lease that has more than its number (I8)."""

import fcntl
import os
import struct

from tests.bus.ring import MULTI_QUEUE, TAP_FLAGS, BusRing
from tests.lib import kernel
from tests.lib.bus import Variant
from tests.lib.process import until

TUNSETIFF, TUNSETQUEUE, DETACH = 0x400454CA, 0x400454D9, 0x0400


class Queues(BusRing):
    def attach(self, name):
        """Attaches a queue by name as the tap's owner would; root, which the kernel allows the same, does it here."""
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        self.open.append(descriptor)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP_FLAGS | MULTI_QUEUE))
        return descriptor

    def setUp(self):
        super().setUp()
        self.open = []
        self.addCleanup(lambda: [os.close(descriptor) for descriptor in self.open])

    def acquire(self, hold):
        bus = self.host.connect("alice")
        self.addCleanup(bus.close)
        options = {"hold": Variant("s", hold), "queues": Variant("u", 2)}
        _, taps, descriptors = self.call(bus, "Acquire", "ua{sv}", 2, options)
        self.open += descriptors
        return [tap["name"] for tap in taps]

    def ends(self, names):
        until(kernel.absent(*names), "the lease ends")
        self.assertEqual(self.leases("alice"), [])
        self.assertRegex(self.host.daemon.log(), f'ended: "{names[1]}" .*: [0-9]+ queues were attached, and 2 granted')

    def test_by_name(self):
        """As many queues as were granted may be attached and closed; a third one ends the whole lease (I8)."""
        names = self.acquire("name")
        for _ in range(3):
            for queue in (self.attach(names[1]), self.attach(names[1])):
                fcntl.ioctl(queue, TUNSETQUEUE, struct.pack("16sH22x", b"", DETACH))
            for queue in self.open:
                os.close(queue)
            self.open.clear()
        self.assertEqual(len(self.leases("alice")), 1)
        for _ in range(3):
            self.attach(names[1])
        self.ends(names)

    def test_by_descriptor(self):
        """A queue in addition to the descriptors of a lease ends that lease (I8)."""
        names = self.acquire("fd")
        self.assertEqual(len(self.leases("alice")), 1)
        self.attach(names[1])
        self.ends(names)

    def test_many(self):
        """256 queues on a lease of two do not last: the service's bound applies, not the kernel's (I8)."""
        names, attached = self.acquire("name"), 0
        try:
            while attached < 256:
                self.attach(names[1])
                attached += 1
        except OSError:
            pass  # the tap was deleted meanwhile; root would make another one under its name
        print(f"\n{attached} queues could be attached")
        until(lambda: self.leases("alice") == [], "the lease ends")

    def test_while_away(self):
        """If a queue was attached while no daemon ran, the next daemon ends the lease (I6, I8)."""
        names = self.acquire("name")
        self.host.stop_daemon()
        for _ in range(3):
            self.attach(names[1])
        self.host.start_daemon()
        self.ends(names)
