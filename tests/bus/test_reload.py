# SPDX-License-Identifier: MIT
"""SIGHUP: the daemon reads the configuration again and logs each change, leases stay, and a bad file changes nothing.
Also --end-leases, which ends all leases instead of serving."""

import os
import select
import signal

from tests.bus.ring import BusRing
from tests.lib import kernel, users

CONFIGURATION = "/etc/qemu-tapd.conf"


class Reload(BusRing):
    def setUp(self):
        super().setUp()
        self.addCleanup(lambda: os.path.exists(CONFIGURATION) and os.unlink(CONFIGURATION))

    def reload(self, *lines):
        """Writes the file and sends SIGHUP; returns the log lines of the reload once the daemon is ready."""
        with open(CONFIGURATION, "w", encoding="ascii") as file:
            file.write("".join(f"{line}\n" for line in lines))
        before = len(self.host.daemon.log().splitlines())
        self.host.daemon.send(signal.SIGHUP)
        first, second = self.told(), self.told()
        self.assertEqual(first[0], "RELOADING=1")
        self.assertRegex(first[1], r"\AMONOTONIC_USEC=[0-9]+\Z")
        self.assertEqual(second, ["READY=1"])
        return [line.removeprefix("qemu-tapd: ") for line in self.host.daemon.log().splitlines()[before:]]

    def told(self):
        self.assertTrue(select.select([self.host.notify], [], [], 10)[0], "the daemon sent no notification")
        return self.host.notify.recv(4096).decode().splitlines()

    def test_changes(self):
        """Every changed setting is logged with both values and applies to new leases; earlier leases stay."""
        old = self.up("alice", "--count", "2")
        self.assertEqual(self.reload("pool = 10.9.0.0/16", "prefix-length = 28", "first-index = 20",
                                     "device-prefix = lab", "exclude = 10.9.1.64/28", "exclude = 10.9.2.0/24",
                                     "max-taps-per-user = 5", "max-taps = 6", "idle-exit = 40"),
                         ["info: reloaded: pool 192.168.0.0/16 is 10.9.0.0/16 now",
                          "info: reloaded: prefix-length 24 is 28 now",
                          "info: reloaded: first-index 7 is 20 now",
                          "info: reloaded: device-prefix tap is lab now",
                          "info: reloaded: exclude 192.168.7.0/24,192.168.122.0/24 is 10.9.1.64/28,10.9.2.0/24 now",
                          "info: reloaded: max-taps-per-user 32 is 5 now",
                          "info: reloaded: max-taps 4096 is 6 now"])
        new = self.up("alice", "--count", "2")
        self.assertEqual([(tap["name"], tap["gateway"]) for tap in new["taps"]],
                         [("lab21", "10.9.1.81"), ("lab22", "10.9.1.97")])
        self.assertEqual(self.leases("alice"), [old, new])
        self.assert_refused(self.ctl("alice", "up", "--count", "2"), 6, "5")
        self.assertEqual(self.host.busctl("alice", "get-property", "org.qemutap1", "/org/qemutap1",
                                          "org.qemutap1.Manager", "Pool", "PrefixLength").out,
                         's "10.9.0.0/16"\nu 28\n')
        self.ok("alice", "down", "--all")
        self.host.no_trace()

    def test_log_level(self):
        """A change of the log level takes effect at once."""
        self.assertEqual(self.reload("log-level = error"), ["info: reloaded: log-level info is error now"])
        self.up("alice")
        self.assertNotIn("given", self.host.daemon.log())
        self.assertEqual(self.reload("log-level = debug"), ["info: reloaded: log-level error is debug now"])

    def test_nothing_changed(self):
        """A reload without a change says so."""
        self.assertEqual(self.reload("first-index = 7"), ["info: reloaded: nothing changed"])

    def test_bad_file(self):
        """A bad file is named with its error; none of its settings takes effect, and the daemon serves on."""
        for lines, word in ((("first-index = 30", "colour = red"), "colour"),
                            (("first-index = 30", "prefix-length = 31"), "31"),
                            (("first-index = 30", "pool = 192.168.0.0/24"), "192.168.0.0/24")):
            with self.subTest(lines=lines):
                (line,) = self.reload(*lines)
                self.assertTrue(line.startswith("error: not reloaded, the options stay as they were: "), line)
                self.assertIn(word, line)
                grant = self.up("alice")
                self.assertEqual(grant["taps"][0]["index"], 8)
                self.ok("alice", "down", grant["lease"])

    def test_while_asking(self):
        """A lease that polkit grants after a reload follows the new settings."""
        self.host.polkit.freeze()
        with self.host.connect("alice") as bus:
            serial = self.send(bus, "Acquire", "ua{sv}", 1, {})
            self.assertEqual(self.call(bus, "List", "a{sv}", {}), [[]])
            self.reload("device-prefix = new")
            self.host.polkit.thaw()
            _, taps, descriptors = bus.reply(serial)
            self.addCleanup(os.close, *descriptors)
        self.assertEqual(taps[0]["name"], "new8")


class EndLeases(BusRing):
    def end_leases(self):
        return self.host.run("root", *self.host.daemon_command("--end-leases"))

    def test_all_of_everybody(self):
        """--end-leases deletes every lease's taps, even open ones, and nothing foreign; it needs no bus."""
        kernel.ip("tuntap", "add", "tap12", "mode", "tap")
        self.addCleanup(kernel.ip, "link", "del", "tap12")
        self.up("alice", "--count", "3", "--label", "web")
        self.run_stand_in("bob", "--count", "2")
        self.up("root")
        self.host.stop_daemon()
        self.host.stop_bus()
        done = self.end_leases()
        self.assertEqual((done.status, done.err), (0, ""), done)
        lines = done.out.splitlines()
        self.assertEqual(len(lines), 6, lines)
        for user, count in (("alice", 3), ("bob", 2), (None, 1)):
            uid = users.USERS.get(user, 0)
            self.assertEqual(sum(f"uid {uid}" in line for line in lines), count, lines)
        self.assertEqual(list(kernel.ours()), [])
        self.assertIsNotNone(kernel.link("tap12"))

    def test_beside_a_running_daemon(self):
        """A daemon that runs during --end-leases serves on and knows that the leases are gone."""
        self.up("alice", "--count", "2")
        self.assertEqual(self.end_leases().status, 0)
        self.assertEqual(self.leases("root", "--all"), [])
        self.assertEqual([tap["index"] for tap in self.up("alice")["taps"]], [8])

    def test_without_leases(self):
        """Without leases --end-leases succeeds and prints nothing."""
        done = self.end_leases()
        self.assertEqual((done.status, done.out, done.err), (0, "", ""))

    def test_not_in_a_file(self):
        """In a configuration file `end-leases` is an error."""
        with open(CONFIGURATION, "w", encoding="ascii") as file:
            file.write("end-leases = true\n")
        self.addCleanup(os.unlink, CONFIGURATION)
        self.host.stop_daemon()
        done = self.host.failing_daemon()
        self.assertEqual(done.status, 2, done)
        self.assertIn("end-leases", done.err)
