# SPDX-License-Identifier: MIT
"""Exit when idle: when the daemon exits and when not. A caller at that very moment is still answered.
The test plays the service manager, which can delay reading the daemon's notifications."""

import os
import select
import signal
import time

import pytest

from tests.bus.ring import BusRing, error_name
from tests.lib import kernel
from tests.lib.bus import CALL, BusError, Variant
from tests.lib.host import DAEMON_NAME
from tests.lib.process import HANGS

pytestmark = pytest.mark.early

IDLE = ("--idle-exit=1",)
BY_NAME = {"hold": Variant("s", "name")}


class Idle(BusRing):
    options = IDLE

    def told(self, timeout=HANGS):
        """The next notification to the service manager, as a list of lines."""
        self.assertTrue(select.select([self.host.notify], [], [], timeout)[0], "the daemon sent no notification")
        return self.host.notify.recv(4096).decode().splitlines()

    def told_of_the_end(self):
        """Waits until the daemon announces its exit. The daemon then waits until the test reads further."""
        while self.told() != ["STOPPING=1"]:
            pass

    def assert_leaves(self):
        """Expects that it exits in time with status 0, after releasing its bus name."""
        with self.host.connect() as bus:
            self.told_of_the_end()
            self.assertEqual(self.told(), ["BARRIER=1"])
            bus.wait_for_owner(DAEMON_NAME, present=False)
        self.assertEqual(self.host.daemon.wait(), 0)
        self.assertIn("idle", self.host.daemon.log().splitlines()[-1])

    def assert_stays(self, seconds=2.0):
        """Expects that it does not exit, though no call comes for longer than its idle limit."""
        self.assertFalse(select.select([self.host.notify, self.host.daemon.pidfd], [], [], seconds)[0],
                         "the daemon exits")


class Leaving(Idle):
    def test_without_leases(self):
        """A daemon without calls exits with status 0."""
        self.assert_leaves()

    def test_calls_put_it_off(self):
        """Each call restarts the idle time."""
        self.host.restart_daemon("--idle-exit=5")
        for _ in range(4):
            self.assert_stays(1.5)
            self.assertEqual(self.leases("alice"), [])
        called = time.monotonic()
        self.assert_leaves()
        self.assertGreater(time.monotonic() - called, 4.9)

    def test_named_lease_is_watched(self):
        """The daemon stays while a lease is held by name, to keep its settings (I10), and exits after it has ended."""
        self.host.restart_daemon("--idle-exit=3")
        grant = self.up("alice", "--count", "2")
        self.assert_stays(4.0)
        self.assertEqual(self.leases("alice"), [grant])
        self.ok("alice", "down", grant["lease"])
        self.assert_leaves()
        self.host.no_trace()

    def test_descriptors_are_watched(self):
        """The daemon stays while a lease is held by descriptors, and exits after the last one has ended."""
        self.host.restart_daemon("--idle-exit=3")
        first, second = self.run_stand_in("alice"), self.run_stand_in("bob")
        self.assert_stays(4.0)
        first.end()
        self.assert_stays(4.0)
        second.end()
        self.assert_leaves()
        self.host.no_trace()

    def test_idle_timeout_is_watched(self):
        """The daemon ends a lease with an idle timeout before it exits."""
        self.host.restart_daemon("--idle-exit=3")
        self.up("alice", "--idle-timeout", "9")
        self.assert_stays(5.0)
        self.assert_leaves()
        self.host.no_trace()

    def test_attendants_are_watched(self):
        """The daemon stays while an attended lease's caller is connected, ends the lease with it, and then exits."""
        self.host.restart_daemon("--idle-exit=3")
        with self.host.connect("alice") as bus:
            _, taps, _ = self.call(bus, "Acquire", "ua{sv}", 1, {**BY_NAME, "attended": Variant("b", True)})
            self.assert_stays(4.0)
        kernel.wait_for(kernel.absent(taps[0]["name"]), "the attended lease ends")
        self.assert_leaves()
        self.host.no_trace()

    def test_strangers_put_nothing_off(self):
        """Without attended leases the daemon is not woken by connections that end, even if it had one before."""
        self.host.restart_daemon("--idle-exit=3")
        with self.host.connect("alice") as bus:
            _, taps, _ = self.call(bus, "Acquire", "ua{sv}", 1, {**BY_NAME, "attended": Variant("b", True)})
        kernel.wait_for(kernel.absent(taps[0]["name"]), "the attended lease ends")
        began = time.monotonic()
        while not select.select([self.host.notify], [], [], 0.3)[0]:
            self.host.connect("bob").close()
            self.assertLess(time.monotonic() - began, HANGS, "connections of strangers delay the exit")
        self.assert_leaves()

    def test_waiting_callers(self):
        """The daemon does not exit while a call waits for polkit, and answers the call."""
        self.host.restart_daemon("--idle-exit=3")
        self.host.polkit.freeze()
        with self.host.connect("alice") as bus:
            serial = self.send(bus, "Acquire", "ua{sv}", 1, BY_NAME)
            self.assert_stays(4.0)
            self.host.polkit.thaw()
            lease, taps, _ = bus.reply(serial)
            self.assertEqual((len(lease), len(taps)), (16, 1))
            self.call(bus, "Release", "s", lease)
        self.assert_leaves()


class NotLeaving(Idle):
    def test_told_so(self):
        """With --idle-exit=0 the daemon never exits by itself."""
        self.host.restart_daemon("--idle-exit=0")
        self.assert_stays()


class InTheMoment(Idle):
    """Calls that come after the daemon has decided to exit and before it has released its bus name."""

    def test_all_are_answered(self):
        """Each of 30 calls of several kinds at that moment is answered as usual, and then the daemon exits."""
        self.host.restart_daemon(*IDLE)
        self.told_of_the_end()
        with self.host.connect("alice") as alice, self.host.connect("root") as root:
            serials = [self.send(alice, "Acquire", "ua{sv}", 1, BY_NAME) for _ in range(10)]
            serials += [self.send(root, "Acquire", "ua{sv}", 1, BY_NAME) for _ in range(10)]
            lists = [self.send(alice, "List", "a{sv}", {}) for _ in range(10)]
            for bus in (alice, root):
                bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.GetId")
            self.assertEqual(self.told(), ["BARRIER=1"])
            names = [alice.reply(serial)[1][0]["name"] for serial in serials[:10]]
            names += [root.reply(serial)[1][0]["name"] for serial in serials[10:]]
            for serial in lists:
                alice.reply(serial)
        self.assertEqual(self.host.daemon.wait(), 0)
        self.assertEqual(sorted(names), sorted(kernel.ours()))
        self.assertEqual(len(set(names)), 20)
        self.host.restart_daemon()
        self.assertEqual(len(self.leases("root", "--all")), 20)

    def test_waiting_for_polkit(self):
        """A call at that moment that waits for polkit is answered, however long that takes."""
        self.told_of_the_end()
        self.host.polkit.freeze()
        with self.host.connect("alice") as bus:
            serial = self.send(bus, "Acquire", "ua{sv}", 1, BY_NAME)
            bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.GetId")
            self.assertEqual(self.told(), ["BARRIER=1"])
            bus.wait_for_owner(DAEMON_NAME, present=False)
            self.assertTrue(self.host.daemon.alive())
            self.host.polkit.thaw()
            self.assertEqual(bus.reply(serial)[1][0]["name"], "tap8")
        self.assertEqual(self.host.daemon.wait(), 0)

    def test_prompt(self):
        """A call at that moment that needs a password prompt gets an error, so that no other caller waits for it."""
        self.told_of_the_end()
        self.host.polkit.freeze()
        with self.host.connect("alice") as bus:
            serial = self.send(bus, "Acquire", "ua{sv}", 1, {**BY_NAME, "interactive": Variant("b", True)})
            bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.GetId")
            self.assertEqual(self.told(), ["BARRIER=1"])
            with self.assertRaises(BusError) as caught:
                bus.reply(serial)
        self.assertEqual(caught.exception.name, error_name("Failed"))
        self.assertEqual(self.host.daemon.wait(), 0)
        self.host.no_trace()

    def test_successor(self):
        """If a lease is given at that moment, the daemon asks the bus to start a new instance."""
        with self.host.connect() as ear:
            ear.watch("type='method_call',member='StartServiceByName'")
            self.told_of_the_end()
            with self.host.connect("root") as root:
                serial = self.send(root, "Acquire", "ua{sv}", 1, {})
                root.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.GetId")
                self.assertEqual(self.told(), ["BARRIER=1"])
                _, taps, descriptors = root.reply(serial)
                self.addCleanup(os.close, *descriptors)
                self.assertEqual(self.host.daemon.wait(), 0)
                asked = ear.next(lambda message: message.kind == CALL and message.member.endswith("StartServiceByName"))
                self.assertEqual(asked.body[0], DAEMON_NAME)
                self.assertIn(taps[0]["name"], kernel.ours())

    def test_signal(self):
        """SIGTERM at that moment ends the daemon with status 0."""
        self.told_of_the_end()
        self.host.daemon.send(signal.SIGTERM)
        self.assertEqual(self.told(), ["BARRIER=1"])
        self.assertEqual(self.host.daemon.wait(), 0)
