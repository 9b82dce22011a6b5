# SPDX-License-Identifier: MIT
"""A lease is a promise of so many queues: its owner can attach further ones to a multi-queue tap by the tap's name,
256 of them and more than were asked for, and loses the lease then (I8)."""

import fcntl
import os
import struct

from rig import kernel
from rig.bus import Variant
from rig.process import until
from ring import MULTI_QUEUE, TAP_FLAGS, BusRing

TUNSETIFF, TUNSETQUEUE, DETACH = 0x400454CA, 0x400454D9, 0x0400


class Queues(BusRing):
    def attach(self, name):
        """As the tap's owner does it: here by root, whom the kernel lets do the same."""
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
        """As many queues as were granted may come and go; with a third one the lease ends, all of it (I8)."""
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
        """A lease held by descriptors ends with a queue beside those that were handed over (I8)."""
        names = self.acquire("fd")
        self.assertEqual(len(self.leases("alice")), 1)
        self.attach(names[1])
        self.ends(names)

    def test_many(self):
        """256 queues of a lease of two are not there for long: the kernel's own limit is not the bound (I8)."""
        names, attached = self.acquire("name"), 0
        try:
            while attached < 256:
                self.attach(names[1])
                attached += 1
        except OSError:
            pass  # the tap went meanwhile, and the name is free: root makes another one
        print(f"\n{attached} queues could be attached")
        until(lambda: self.leases("alice") == [], "the lease ends")

    def test_while_away(self):
        """A daemon that was not there when the queue was attached ends the lease when it comes back (I6, I8)."""
        names = self.acquire("name")
        self.host.stop_daemon()
        for _ in range(3):
            self.attach(names[1])
        self.host.start_daemon()
        self.ends(names)
