# SPDX-License-Identifier: MIT
"""Bad input to the client: each case gives one clear error line and its documented exit status, and changes nothing."""

import os
import subprocess

from tests.bus.ring import NO_LEASE, BusRing
from tests.lib import furnish, kernel

# An error that quotes a label must not pass control characters to a user's terminal.
BAD_LABELS = {"empty": "", "64 bytes": "a" * 64, "65 bytes": "a" * 65, "10,000 bytes": "a" * 10_000,
              "newline": "two\nlines", "escape": "\x1b[31mred\x1b[0m", "not UTF-8": b"caf\xe9", "UTF-8": "caf\u00e9",
              "substitution": "$(x)", "space": "a b", "slash": "a/b", "equals": "a=b", "begins with a dash": "-rf",
              "begins with a dot": ".hidden", "delete": "a\x7f", "bell": "\x07"}


class BadOptions(BusRing):
    def refuse_all(self, *commands, words=()):
        """Expects status 2 of each command, with `up` and with `run`, and no trace of a lease."""
        for command in commands:
            for verb in (("up", *command), ("run", *command, "--", "true")):
                with self.subTest(verb=verb[0], command=command):
                    self.assert_refused(self.ctl("alice", *verb), 2, *words)
                    self.host.no_trace()
        self.assertTrue(self.host.daemon.alive())

    def test_count(self):
        """A count of 0, 10,000, one over the limit, negative, too large, not a number or empty gives status 2."""
        self.refuse_all(*[("--count", count) for count in ("0", "10000", "33", "-1", "4294967296", "1.5", "two", "")],
                        words=("count",))

    def test_queues(self):
        """Queues of 0, 17, negative or not a number give status 2."""
        self.refuse_all(*[("--queues", queues) for queues in ("0", "17", "-1", "many", "")], words=("queues",))

    def test_labels(self):
        """Labels of 0, 64, 65 and 10,000 bytes, with a newline, ESC, non-UTF-8, `$(x)` and more give status 2."""
        for what, label in BAD_LABELS.items():
            option = b"--label=" + label if isinstance(label, bytes) else f"--label={label}"
            for verb in (("up", option), ("run", option, "--", "true")):
                with self.subTest(verb=verb[0], what=what):
                    self.assert_refused(self.ctl("alice", *verb), 2, "label")
                    self.host.no_trace()

    def test_idle_timeout(self):
        """An idle timeout of 0, longer than a year, negative or not a number gives status 2."""
        for value in ("0", "31536001", "-1", "soon", "99999999999999999999"):
            with self.subTest(value=value):
                self.assert_refused(self.ctl("alice", "up", f"--idle-timeout={value}"), 2, "idle-timeout")
                self.host.no_trace()

    def test_unknown_options(self):
        """Unknown options, verbs, formats and vhost choices give status 2 and an error that names them."""
        for words, named in ((("up", "--bogus"), "--bogus"), (("run", "--bogus", "--", "true"), "--bogus"),
                             (("list", "--bogus"), "--bogus"), (("bogus",), "bogus"), (("up", "bogus"), "bogus"),
                             (("up", "--format", "xml"), "xml"), (("run", "--vhost", "maybe", "--", "true"), "maybe"),
                             (("run", "--idle-timeout", "5", "--", "true"), "--idle-timeout")):
            with self.subTest(words=words):
                self.assert_refused(self.ctl("alice", *words), 2, named)
        self.host.no_trace()

    def test_missing_words(self):
        """`down` or `args` without a name, and `down` with both a name and --all give status 2."""
        for words in (("down",), ("args",), ("down", "--all", NO_LEASE)):
            with self.subTest(words=words):
                self.assert_refused(self.ctl("alice", *words), 2)

    def test_no_words(self):
        """The client alone prints its help to stdout, and gives status 2 and one line on stderr."""
        done = self.ctl("alice")
        self.assertEqual((done.status, done.err), (2, "qemu-tapctl: a command is missing\n"))
        self.assertEqual(done.out, self.ok("alice", "--help"))

    def test_lease_names(self):
        """A lease, label or tap name that does not exist gives one readable error line and releases nothing."""
        grant = self.up("alice", "--label", "stays")
        names = ["nothing", NO_LEASE, grant["lease"][:15], grant["lease"].upper() + "0", "tap", "tap8 ", "tap08", "*",
                 "a" * 10_000, "two\nlines", "\x1b[2J", b"caf\xe9", "$(x)", "../x"]
        for name in names:
            for verb in ("down", "args"):
                with self.subTest(verb=verb, name=name):
                    done = self.ctl("alice", verb, "--", name)
                    self.assertIn(done.status, (2, 8), done)
                    self.assert_refused(done, done.status)
        self.assertEqual(self.leases("alice"), [grant])

    def test_partly_good(self):
        """`down` with one good and one bad name reports the bad name, with 8."""
        grant = self.up("alice")
        self.assert_refused(self.ctl("alice", "down", grant["lease"], NO_LEASE), 8, NO_LEASE)

    def test_device_models(self):
        """A NIC model that is invalid or could break out of its argument gives status 2; the error names --device."""
        models = ("", "-nographic", "a b", "x'y", 'x"y', "a;b", "$(x)", "a\nb", "e1000\x1b", "a" * 10_000)
        self.refuse_all(*[(f"--device={model}",) for model in models], words=("device",))

    def test_full_stdout(self):
        """`up` whose output cannot be written fails with an error and releases the lease, which no caller knows."""
        with open("/dev/full", "wb") as full:
            done = self.ctl("alice", "up", stdout=full)
        self.assertEqual(done.status, 1, done)
        self.assertRegex(done.err, r"\Aqemu-tapctl: [^\n]+\n\Z")
        self.host.no_trace()

    def test_help_and_version(self):
        """--help and --version give status 0, write to stdout and need no daemon."""
        self.host.stop_daemon()
        for words in (("--help",), ("up", "--help"), ("--version",)):
            with self.subTest(words=words):
                done = self.ctl("alice", *words)
                self.assertEqual((done.status, done.err), (0, ""))
                self.assertIn("qemu-tapctl", done.out)


class Limits(BusRing):
    options = ("--max-taps-per-user", "3", "--max-taps", "5")

    def test_per_user(self):
        """The limit per user gives status 6 and an error that names it; other users' leases do not count (I8)."""
        self.up("alice", "--count", "2")
        self.assert_refused(self.ctl("alice", "up", "--count", "2"), 6, "3")
        self.assert_refused(self.ctl("alice", "run", "--count", "2", "--", "true"), 6, "3")
        self.assertEqual(len(kernel.ours()), 2)
        self.up("bob", "--count", "3")
        self.ok("alice", "down", "--all")
        self.up("alice", "--count", "2")

    def test_in_total(self):
        """The limit for all users together gives status 6 too (I8)."""
        self.up("alice", "--count", "3")
        self.assert_refused(self.ctl("bob", "up", "--count", "3"), 6, "5")
        self.up("bob", "--count", "2")
        self.assertEqual(len(kernel.ours()), 5)


class NoDaemon(BusRing):
    VERBS = (("up",), ("run", "--", "true"), ("list",), ("list", "--json"), ("down", NO_LEASE), ("down", "--all"),
             ("args", NO_LEASE))

    def test_no_daemon(self):
        """Without a daemon every verb gives status 3 and an error that names the missing service and the remedy."""
        self.host.stop_daemon()
        for verb in self.VERBS:
            with self.subTest(verb=verb):
                self.assert_refused(self.ctl("alice", *verb), 3, "qemu-tapd")

    def test_no_bus(self):
        """Without a system bus every verb gives status 3 too."""
        self.host.stop_daemon()
        self.host.stop_bus()
        for verb in self.VERBS:
            with self.subTest(verb=verb):
                self.assert_refused(self.ctl("alice", *verb), 3)


class NoTun(BusRing):
    def test_absent(self):
        """Without /dev/net/tun `up` and `run` give status 9, name the device and leave nothing; with it they work."""
        os.unlink("/dev/net/tun")
        for verb in (("up", "--count", "2"), ("run", "--", "true")):
            with self.subTest(verb=verb):
                self.assert_refused(self.ctl("alice", *verb), 9, "/dev/net/tun")
        self.host.no_trace()
        furnish.place_tun()
        self.up("alice")

    def test_closed(self):
        """A /dev/net/tun that even the daemon cannot open (here: on a nodev mount) gives status 9 too."""
        subprocess.run(["mount", "-t", "tmpfs", "-o", "nodev,mode=0755", "tmpfs", "/dev/net"], check=True)
        try:
            furnish.place_tun()
            for verb in (("up", "--count", "2"), ("run", "--", "true")):
                with self.subTest(verb=verb):
                    self.assert_refused(self.ctl("alice", *verb), 9, "/dev/net/tun")
            self.host.no_trace()
        finally:
            subprocess.run(["umount", "/dev/net"], check=True)
        self.up("alice")


class PoolExhausted(BusRing):
    # A /28 in subnets of /30: four subnets, the last of which is never used.
    options = ("--pool", "192.168.8.0/28", "--prefix-length", "30", "--first-index", "0")

    def test_by_leases(self):
        """An exhausted pool gives status 7, no partial lease, and an error with the pool and the leased count (I9)."""
        self.up("alice", "--count", "2")
        before = kernel.snapshot()
        self.assert_refused(self.ctl("bob", "up", "--count", "2"), 7, "192.168.8.0/28", "2 taps")
        self.assert_refused(self.ctl("bob", "run", "--count", "2", "--", "true"), 7, "192.168.8.0/28")
        self.assertEqual(kernel.snapshot(), before)
        self.up("bob")
        self.assert_refused(self.ctl("bob", "up"), 7, "192.168.8.0/28", "3 taps")

    def test_by_others(self):
        """The error of a full pool names the foreign devices with their addresses, and routes, that occupy it."""
        kernel.ip("tuntap", "add", "lan0", "mode", "tun")
        kernel.ip("link", "set", "lan0", "up")
        kernel.ip("addr", "add", "192.168.8.1/29", "dev", "lan0")
        kernel.ip("route", "add", "192.168.8.9/32", "dev", "lan0")
        self.assert_refused(self.ctl("alice", "up"), 7, "192.168.8.0/28", "lan0", "192.168.8.1", "192.168.8.9")
