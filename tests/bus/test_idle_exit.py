# SPDX-License-Identifier: MIT
"""Leaving when idle: when the daemon does and when it does not, and that whoever calls in the very moment is answered.
The service manager is the test, which reads the daemon's notifications when it likes."""

import os
import select
import signal
import time

from rig import kernel
from rig.bus import CALL, BusError, Variant
from rig.host import DAEMON_NAME
from ring import BusRing, error_name

IDLE = ("--idle-exit=1",)
BY_NAME = {"hold": Variant("s", "name")}


class Idle(BusRing):
    options = IDLE

    def told(self, timeout=10):
        """The next notification, as a list of lines."""
        self.assertTrue(select.select([self.host.notify], [], [], timeout)[0], "the daemon told its manager nothing")
        return self.host.notify.recv(4096).decode().splitlines()

    def told_of_the_end(self):
        """Waits until the daemon says that it is about to leave. It goes no further before it is read on."""
        while self.told() != ["STOPPING=1"]:
            pass

    def assert_leaves(self):
        """Within the time that it was told and with status 0, its name given back before."""
        with self.host.connect() as bus:
            self.told_of_the_end()
            self.assertEqual(self.told(), ["BARRIER=1"])
            bus.wait_for_owner(DAEMON_NAME, present=False)
        self.assertEqual(self.host.daemon.wait(5), 0)
        self.assertIn("idle", self.host.daemon.log().splitlines()[-1])

    def assert_stays(self, seconds=2.0):
        """It does not leave, though no call comes for longer than it would wait for one."""
        self.assertFalse(select.select([self.host.notify, self.host.daemon.pidfd], [], [], seconds)[0],
                         "the daemon is leaving")


class Leaving(Idle):
    def test_without_leases(self):
        """A daemon that nobody calls leaves, with status 0."""
        self.assert_leaves()

    def test_calls_put_it_off(self):
        """Each call counts: the time begins anew with the last one."""
        self.host.restart_daemon("--idle-exit=5")
        for _ in range(4):
            self.assert_stays(1.5)
            self.assertEqual(self.leases("alice"), [])
        called = time.monotonic()
        self.assert_leaves()
        self.assertGreater(time.monotonic() - called, 4.9)

    def test_named_lease_is_watched(self):
        """I10: beside a lease held by name the daemon stays, as its settings are kept; when it ended, it leaves."""
        self.host.restart_daemon("--idle-exit=3")
        grant = self.up("alice", "--count", "2")
        self.assert_stays(4.0)
        self.assertEqual(self.leases("alice"), [grant])
        self.ok("alice", "down", grant["lease"])
        self.assert_leaves()
        self.host.no_trace()

    def test_descriptors_are_watched(self):
        """While a lease is held by descriptors the daemon stays; when the last one ended, it leaves."""
        self.host.restart_daemon("--idle-exit=3")
        first, second = self.run_stand_in("alice"), self.run_stand_in("bob")
        self.assert_stays(4.0)
        first.end()
        self.assert_stays(4.0)
        second.end()
        self.assert_leaves()
        self.host.no_trace()

    def test_idle_timeout_is_watched(self):
        """It ends a lease with an idle timeout before it leaves."""
        self.host.restart_daemon("--idle-exit=3")
        self.up("alice", "--idle-timeout", "9")
        self.assert_stays(5.0)
        self.assert_leaves()
        self.host.no_trace()

    def test_attendants_are_watched(self):
        """While the caller of an attended lease is there the daemon stays, ends the lease with it, and then leaves."""
        self.host.restart_daemon("--idle-exit=3")
        with self.host.connect("alice") as bus:
            _, taps, _ = self.call(bus, "Acquire", "ua{sv}", 1, {**BY_NAME, "attended": Variant("b", True)})
            self.assert_stays(4.0)
        kernel.wait_for(kernel.absent(taps[0]["name"]), 2, "the attended lease ends")
        self.assert_leaves()
        self.host.no_trace()

    def test_strangers_put_nothing_off(self):
        """It is not told of connections that end where no lease depends on one, also when one did before."""
        self.host.restart_daemon("--idle-exit=3")
        with self.host.connect("alice") as bus:
            _, taps, _ = self.call(bus, "Acquire", "ua{sv}", 1, {**BY_NAME, "attended": Variant("b", True)})
        kernel.wait_for(kernel.absent(taps[0]["name"]), 2, "the attended lease ends")
        began = time.monotonic()
        while not select.select([self.host.notify], [], [], 0.3)[0]:
            self.host.connect("bob").close()
            self.assertLess(time.monotonic() - began, 8, "the daemon hears of strangers")
        self.assert_leaves()

    def test_waiting_callers(self):
        """It does not leave while a call waits for polkit, and answers it."""
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
        """When told 0 it never leaves by itself."""
        self.host.restart_daemon("--idle-exit=0")
        self.assert_stays()


class InTheMoment(Idle):
    """Calls that come after the daemon has decided to leave and before its name is given back."""

    def test_all_are_answered(self):
        """Each of 30 calls of several kinds is answered as ever, and then it leaves (no call is ever lost)."""
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
        self.assertEqual(self.host.daemon.wait(5), 0)
        self.assertEqual(sorted(names), sorted(kernel.ours()))
        self.assertEqual(len(set(names)), 20)
        self.host.restart_daemon()
        self.assertEqual(len(self.leases("root", "--all")), 20)

    def test_waiting_for_polkit(self):
        """A call that came in that moment and waits for polkit is answered, however long that takes."""
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
        self.assertEqual(self.host.daemon.wait(5), 0)

    def test_prompt(self):
        """Nobody's password is waited for in that moment, as everybody else would have to wait too: an error."""
        self.told_of_the_end()
        self.host.polkit.freeze()
        with self.host.connect("alice") as bus:
            serial = self.send(bus, "Acquire", "ua{sv}", 1, {**BY_NAME, "interactive": Variant("b", True)})
            bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.GetId")
            self.assertEqual(self.told(), ["BARRIER=1"])
            with self.assertRaises(BusError) as caught:
                bus.reply(serial)
        self.assertEqual(caught.exception.name, error_name("Failed"))
        self.assertEqual(self.host.daemon.wait(5), 0)
        self.host.no_trace()

    def test_successor(self):
        """A lease that is given in that moment makes the daemon ask the bus for its successor."""
        with self.host.connect() as ear:
            ear.watch("type='method_call',member='StartServiceByName'")
            self.told_of_the_end()
            with self.host.connect("root") as root:
                serial = self.send(root, "Acquire", "ua{sv}", 1, {})
                root.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.GetId")
                self.assertEqual(self.told(), ["BARRIER=1"])
                _, taps, descriptors = root.reply(serial)
                self.addCleanup(os.close, *descriptors)
                self.assertEqual(self.host.daemon.wait(5), 0)
                asked = ear.next(lambda message: message.kind == CALL and message.member.endswith("StartServiceByName"))
                self.assertEqual(asked.body[0], DAEMON_NAME)
                self.assertIn(taps[0]["name"], kernel.ours())

    def test_signal(self):
        """SIGTERM in that moment ends it with status 0."""
        self.told_of_the_end()
        self.host.daemon.send(signal.SIGTERM)
        self.assertEqual(self.told(), ["BARRIER=1"])
        self.assertEqual(self.host.daemon.wait(5), 0)
