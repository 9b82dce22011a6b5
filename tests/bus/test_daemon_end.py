# SPDX-License-Identifier: MIT
"""How the daemon ends and starts: by signal, by losing its bus, with and without a service manager."""

import os
import signal
import time

from tests.bus.ring import BusRing, error_name
from tests.lib import furnish, kernel
from tests.lib.bus import BusError, Variant
from tests.lib.host import DAEMON_NAME, program_environment
from tests.lib.process import Process

LIMIT = 20  # seconds that the daemon waits for polkit


class End(BusRing):
    def test_signals(self):
        """SIGTERM and SIGINT end the daemon with status 0; its leases stay, and the next daemon knows them (I1)."""
        holder = self.run_stand_in("alice", "--count", "2")
        self.up("bob", "--count", "2", "--label", "b")
        before, devices = self.ok("root", "list", "--all", "--json"), kernel.snapshot()
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number.name):
                self.assertEqual(self.host.daemon.terminate(number), 0)
                self.assertEqual(kernel.snapshot(), devices)
                self.host.restart_daemon()
                self.assertEqual(self.ok("root", "list", "--all", "--json"), before)
        self.assertIsNone(holder.popen.poll())

    def test_signal_while_asking(self):
        """SIGTERM during an open polkit question ends the daemon at once; the caller gets an error, not a hang."""
        self.host.polkit.freeze()
        with self.host.connect() as ear:
            ear.watch("type='method_call',member='CheckAuthorization'")
            caller = self.host.ctl_start("alice", "up")
            self.addCleanup(self._end, caller)
            ear.next(lambda message: message.member.endswith(".CheckAuthorization"))
        started = time.monotonic()
        self.assertEqual(self.host.daemon.terminate(), 0)
        out, err = caller.communicate()
        self.assertLess(time.monotonic() - started, LIMIT, "the daemon has waited for polkit")
        self.assertNotEqual(caller.returncode, 0)
        self.assertEqual(out, b"")
        self.assertRegex(err.decode(), r"\Aqemu-tapctl: [^\n]+\n\Z")
        self.host.no_trace()

    def ask(self, user, count):
        """Sends requests that wait for polkit; every second one waits for a prompt."""
        bus = self.host.connect(user)
        self.addCleanup(bus.close)
        serials = [self.send(bus, "Acquire", "ua{sv}", 1, {"interactive": Variant("b", number % 2 == 0)})
                   for number in range(count)]
        # The daemon answers in order: this answer proves that it has read the requests.
        self.assertEqual(self.call(bus, "List", "a{sv}", {}), [[]])
        return bus, serials

    def test_signal_while_many_wait(self):
        """SIGTERM while 40 requests of one user wait for polkit: status 0, and the daemon answers each (I8)."""
        self.host.polkit.freeze()
        bus, serials = self.ask("alice", 40)
        self.assertEqual(self.host.daemon.terminate(), 0)
        for serial in serials:
            with self.assertRaises(BusError) as caught:
                bus.reply(serial)
            self.assertEqual(caught.exception.name, error_name("Failed"))
        self.host.no_trace()

    def test_bus_lost_while_many_wait(self):
        """If the bus is lost while 40 requests of a user wait, the daemon ends with status 1, not by a signal (I8)."""
        self.host.polkit.freeze()
        self.ask("alice", 40)
        self.host.stop_bus()
        self.assertEqual(self.host.daemon.wait(), 1)
        self.host.no_trace()

    def test_bus_lost(self):
        """A daemon that loses its bus ends with an error status, so its unit restarts it; leases stay (I1)."""
        self.run_stand_in("alice", "--count", "2")
        self.up("bob")
        before, devices = self.ok("root", "list", "--all", "--json"), kernel.snapshot()
        self.host.stop_bus()
        self.assertGreater(self.host.daemon.wait(), 0)
        self.assertEqual(kernel.snapshot(), devices)
        self.host.polkit.close()
        self.host.start_bus()
        self.host.start_polkit()
        self.host.restart_daemon()
        self.assertEqual(self.ok("root", "list", "--all", "--json"), before)

    def test_without_manager(self):
        """Started by hand, without a service manager, the daemon works the same and logs to stderr."""
        self.host.stop_daemon()
        log = f"{furnish.RIG}/by-hand.log"
        daemon = Process(self.host.daemon_command(), log, env=program_environment("root"))
        self.addCleanup(daemon.close)
        with self.host.connect() as bus:
            bus.wait_for_owner(DAEMON_NAME)
        grant = self.up("alice")
        self.ok("alice", "down", grant["lease"])
        self.assertIn("tap8", daemon.log())
        self.assertEqual(daemon.terminate(), 0)

    def test_no_bus(self):
        """Started without a bus the daemon ends with an error that says so."""
        self.host.stop_daemon()
        self.host.stop_bus()
        done = self.host.failing_daemon()
        self.assertGreater(done.status, 0)
        self.assertIn("bus", done.err)


class EndAndRelease(BusRing):
    """SIGTERM and releases at the same time: a caller that gets success can rely on the lease's end, and a caller that
    gets an error still has the lease."""

    def release(self, bus, grants):
        """Sends a release of each; returns when the bus has forwarded them."""
        serials = [self.send(bus, "Release", "s", grant["lease"]) for grant in grants]
        bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.GetId")
        return serials

    def assert_all_or_nothing(self, bus, grants, serials):
        """Compares the answers with the kernel's devices, and with what the next daemon lists."""
        self.assertEqual(self.host.daemon.wait(), 0)
        kept = []
        for grant, serial in zip(grants, serials):
            try:
                self.assertEqual(bus.reply(serial), [])
            except BusError as error:
                # The bus itself answers NoReply to a request that the daemon's end left unread.
                self.assertIn(error.name, (error_name("Failed"), "org.freedesktop.DBus.Error.NoReply"))
                kept.append(grant)
        self.assertEqual(sorted(kernel.ours()), sorted(tap["name"] for grant in kept for tap in grant["taps"]))
        self.host.restart_daemon()
        self.assertEqual(self.leases("root", "--all"), kept)
        if kept:
            self.ok("root", "down", *[grant["lease"] for grant in kept])

    def test_both_unread(self):
        """If the daemon reads releases and SIGTERM together, each release is done and confirmed, or neither (I9)."""
        for _ in range(5):
            grants = [self.up("root", "--count", "2") for _ in range(3)]
            with self.host.connect("root") as bus:
                self.host.daemon.freeze()
                serials = self.release(bus, grants)
                self.host.daemon.send(signal.SIGTERM)
                self.host.daemon.thaw()
                self.assert_all_or_nothing(bus, grants, serials)

    def test_verdict_unread(self):
        """If the daemon reads polkit's yes and SIGTERM together, the release is done and confirmed, or neither (I9)."""
        for _ in range(5):
            grant = self.up("alice", "--count", "2")
            with self.host.connect("alice") as bus, self.host.connect() as ear:
                ear.watch("type='method_call',member='CheckAuthorization'", "type='method_return'")
                self.host.polkit.freeze()
                serials = self.release(bus, [grant])
                question = ear.next(lambda message: message.member.endswith(".CheckAuthorization"))
                self.host.daemon.freeze()
                self.host.polkit.thaw()
                ear.next(lambda message: message.reply_to == question.serial
                         and message.destination == question.sender)
                self.host.daemon.send(signal.SIGTERM)
                self.host.daemon.thaw()
                self.assert_all_or_nothing(bus, [grant], serials)

    def test_one_after_the_other(self):
        """If SIGTERM arrives while the daemon works on releases, each is done and confirmed, or neither (I9)."""
        for count in range(1, 9):
            grants = [self.up("root") for _ in range(count)]
            with self.host.connect("root") as bus:
                serials = self.release(bus, grants)
                self.host.daemon.send(signal.SIGTERM)
                self.assert_all_or_nothing(bus, grants, serials)


class Log(BusRing):
    def test_one_line_per_change(self):
        """The log has one line per change, with lease, taps, owner and, where there are any, subnet and label."""
        grant = self.up("alice", "--count", "2", "--label", "shop")
        names = [tap["name"] for tap in grant["taps"]]
        self.ok("alice", "down", grant["lease"])
        lines = [line for line in self.host.daemon.log().splitlines() if grant["lease"] in line]
        self.assertEqual(len(lines), 3, lines)
        for word in ("64101", '"shop"', *(f"{tap['name']}={tap['gateway']}/24" for tap in grant["taps"])):
            self.assertIn(word, lines[0])
        self.assertEqual({name for name in names for line in lines[1:] if f'"{name}"' in line}, set(names), lines)
        self.assertTrue(all("64101" in line for line in lines[1:]), lines)

    def test_descriptors_do_not_leak(self):
        """After many leases, refusals and ends the daemon has no more descriptors open than at first (I8)."""
        self.up("root")
        self.ok("root", "down", "--all")
        path = f"/proc/{self.host.daemon.pid}/fd"
        before = sorted(os.readlink(f"{path}/{name}") for name in os.listdir(path))
        for _ in range(5):
            self.assertEqual(self.run_stand_in("alice", "--count", "4", "--queues", "2").end(), 0)
            self.up("alice", "--count", "8")
            self.ok("alice", "down", "--all")
            self.assert_refused(self.ctl("dave", "up"), 4)
            self.assert_refused(self.ctl("alice", "run", "--vhost", "yes", "--", "true"), 10)
        self.assertEqual(sorted(os.readlink(f"{path}/{name}") for name in os.listdir(path)), before)
