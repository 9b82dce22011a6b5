# SPDX-License-Identifier: MIT
"""How the daemon itself ends and begins: by signal, by losing its bus, and beside a service manager or without."""

import os
import signal

from rig import furnish, kernel
from rig.process import Process
from rig.host import DAEMON_NAME, program_environment
from ring import BusRing


class End(BusRing):
    def test_signals(self):
        """SIGTERM and SIGINT end the daemon with status 0; leases of both kinds stay and are known again (I1)."""
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
        """SIGTERM while polkit has a question open ends the daemon at once; the caller gets an error, not a hang."""
        self.host.polkit.freeze()
        with self.host.connect() as ear:
            ear.watch("type='method_call',member='CheckAuthorization'")
            caller = self.host.ctl_start("alice", "up")
            self.addCleanup(self._end, caller)
            ear.next(lambda message: message.member.endswith(".CheckAuthorization"))
        self.assertEqual(self.host.daemon.terminate(timeout=3), 0)
        out, err = caller.communicate(timeout=5)
        self.assertNotEqual(caller.returncode, 0)
        self.assertEqual(out, b"")
        self.assertRegex(err.decode(), r"\Aqemu-tapctl: [^\n]+\n\Z")
        self.host.no_trace()

    def test_bus_lost(self):
        """A daemon that loses its bus ends with an error status, so that its unit restarts it; leases stay (I1)."""
        self.run_stand_in("alice", "--count", "2")
        self.up("bob")
        before, devices = self.ok("root", "list", "--all", "--json"), kernel.snapshot()
        self.host.stop_bus()
        self.assertGreater(self.host.daemon.wait(5), 0)
        self.assertEqual(kernel.snapshot(), devices)
        self.host.polkit.close()
        self.host.start_bus()
        self.host.start_polkit()
        self.host.restart_daemon()
        self.assertEqual(self.ok("root", "list", "--all", "--json"), before)

    def test_without_manager(self):
        """Started by hand, with nobody to notify, the daemon works the same and logs to stderr."""
        self.host.stop_daemon()
        log = f"{furnish.RIG}/by-hand.log"
        daemon = Process(self.host.daemon_command(), log, env=program_environment("root"))
        self.addCleanup(daemon.close)
        with self.host.connect() as bus:
            bus.wait_for_owner(DAEMON_NAME)
        grant = self.up("alice")
        self.ok("alice", "down", grant["lease"])
        self.assertIn("tap7", daemon.log())
        self.assertEqual(daemon.terminate(), 0)

    def test_no_bus(self):
        """Started without a bus the daemon ends with an error that says so."""
        self.host.stop_daemon()
        self.host.stop_bus()
        done = self.host.failing_daemon()
        self.assertGreater(done.status, 0)
        self.assertIn("bus", done.err)


class Log(BusRing):
    def test_one_line_per_change(self):
        """The log has one line for each change of state, with lease, taps, owner and, where given, subnet and label."""
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
        """After many leases, refusals and ends the daemon has the descriptors open that it began with (I8)."""
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
