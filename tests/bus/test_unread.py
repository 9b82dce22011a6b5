# SPDX-License-Identifier: MIT
"""Callers that read nothing (I8). dbus-daemon stops reading from a sender that has 64 descriptors or 127 MiB
undelivered. Callers must not be able to bring the service into that state, or to keep it there."""

import fcntl
import os

import pytest

from tests.bus.hostile import BY_NAME
from tests.bus.ring import error_name
from tests.bus.unread import MANY_QUEUES, UNREAD, UNREAD_IN_ALL, Unread
from tests.lib import kernel
from tests.lib.bus import BusError

pytestmark = pytest.mark.alone

TUNGETIFF = 0x800454D2  # linux/if_tun.h


def tap_of(descriptor):
    """The name of the tap that a descriptor belongs to."""
    return fcntl.ioctl(descriptor, TUNGETIFF, bytes(40))[:16].split(b"\0")[0].decode()


class Taken(Unread):
    """The fate of answers that lie unread."""

    def drained(self, bus, serial):
        """The answer, after all other unread messages: the grant's parts or the error."""
        try:
            return bus.reply(serial)
        except BusError as error:
            return error

    def test_read_later(self):
        """A caller that reads late gets working leases; the fifth and sixth request were refused at once (I8, I9)."""
        asked = self.attack("alice")
        answers = [self.drained(bus, serial) for bus, serial in asked[UNREAD:]]
        self.assertEqual([answer.name for answer in answers], [error_name("LimitExceeded")] * 2)
        unread = {lease["lease"] for lease in self.leases("alice")}
        self.assertEqual(len(unread), UNREAD)
        for word in (*unread, "64101", f"{UNREAD} leases", "5 s", "try again"):
            self.assertIn(word, answers[0].text)
        for bus, serial in asked[:UNREAD]:
            lease, (tap,), descriptors = self.drained(bus, serial)
            self.assertIn(lease, unread)
            self.assertEqual(len(descriptors), 16)
            self.assertEqual({tap_of(descriptor) for descriptor in descriptors}, {str(tap["name"])})
            for descriptor in descriptors:
                os.close(descriptor)
        kernel.wait_for(lambda: not kernel.ours(), "the leases end with their descriptors")
        self.ok("alice", "run", "--", "true")

    def test_dropped(self):
        """Answers that are dropped end their leases, and a caller that waits for that is served at once (I8)."""
        asked = self.attack("alice", connections=UNREAD)
        self.settle(UNREAD)
        waiting = self.connect("alice")
        serial = self.send(waiting, "Acquire", "ua{sv}", 1, MANY_QUEUES)
        self.settled_root()
        for bus, _ in asked:
            bus.close()
        _, _, descriptors = waiting.reply(serial)
        kernel.wait_for(lambda: len(kernel.ours()) == 1, "the dropped leases end")
        for descriptor in descriptors:
            os.close(descriptor)

    def settled_root(self):
        with self.host.connect() as root:
            self.call(root, "List", "a{sv}", {})

    def test_not_received(self):
        """A socket that was read from the bus, but not received from, counts until it is closed (I8)."""
        bus = self.connect("alice")
        sockets = []
        for _ in range(UNREAD):
            serial = self.send(bus, "Acquire", "ua{sv}", 1, {})
            sockets += bus.next(lambda message, serial=serial: message.reply_to == serial).body[2]
        serial = self.send(bus, "Acquire", "ua{sv}", 1, {})
        self.assertEqual(self.drained(bus, serial).name, error_name("LimitExceeded"))
        os.close(sockets.pop())
        _, _, descriptors = self.call(bus, "Acquire", "ua{sv}", 1, {})
        for descriptor in (*sockets, *descriptors):
            os.close(descriptor)


class Crowd(Unread):
    options = ("--max-taps-per-user=64",)

    def test_64_runs(self):
        """64 simultaneous `run` of one user all succeed, root's too (I8)."""
        for user in ("alice", "root"):
            with self.subTest(user=user):
                started = [self.host.ctl_start(user, "run", "--", "true") for _ in range(64)]
                ended = [(*popen.communicate(), popen.returncode) for popen in started]
                self.assertEqual(ended, [(b"", b"", 0)] * 64)
        kernel.wait_for(lambda: not kernel.ours(), "the leases end")


class InAll(Unread):
    extra_rules = "polkit.addRule(function(action, subject) { return polkit.Result.YES; });"

    def test_in_all(self):
        """Twelve users that read nothing block descriptors for others, but not leases by name and lists (I8)."""
        *greedy, late = self.strangers(UNREAD_IN_ALL // UNREAD + 1)
        root = self.connect("root")
        idle = self.median([root])
        self.attack(*greedy, connections=UNREAD)
        self.settle(UNREAD_IN_ALL)
        for user in (late, "root"):
            bus = self.connect(user)
            with self.assertRaises(BusError) as caught:
                self.call(bus, "Acquire", "ua{sv}", 1, {})
            self.assertEqual(caught.exception.name, error_name("LimitExceeded"))
            self.assertIn("all users", caught.exception.text)
            self.call(bus, "Acquire", "ua{sv}", 1, BY_NAME)
        self.assert_served(idle, root)


class Descriptors(Unread):
    def test_one_user(self):
        """Of a user's six unread answers with 16 queues each four are made, and others are served (I8)."""
        others = self.connect("bob"), self.connect("root")
        idle = self.median(others)
        asked = self.attack("alice")  # noqa: F841 (the connections stay open until the test ends)
        self.settle(UNREAD)
        self.assert_served(idle, *others)
        self.ok("bob", "run", "--", "true")

    def test_three_users(self):
        """Three users with unread answers do not keep others from being served (I8)."""
        others = self.connect("dave"), self.connect("root")
        idle = self.median(others)
        self.attack("alice", "bob", "carol")
        self.settle(3 * UNREAD)
        self.assert_served(idle, *others)
        self.ok("root", "run", "--", "true")

    def test_restart(self):
        """While three users leave answers unread the service can be stopped and started, and serves (I8)."""
        idle = self.median([self.connect("root")])
        self.attack("alice", "bob", "carol")
        self.settle(3 * UNREAD)
        self.assertEqual(self.host.daemon.terminate(), 0)
        self.host.restart_daemon()
        self.assert_served(idle, self.connect("root"), self.connect("dave"))
        self.ok("root", "run", "--", "true")
