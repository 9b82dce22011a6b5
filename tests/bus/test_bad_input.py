# SPDX-License-Identifier: MIT
"""Point 7, by the client: every bad input is one clear line and its own exit status, and nothing is changed."""

import os
import subprocess

from rig import furnish, kernel
from ring import NO_LEASE, BusRing

# What may be said of a bad label must not be a way to write to somebody's terminal.
BAD_LABELS = {"empty": "", "64 bytes": "a" * 64, "65 bytes": "a" * 65, "10,000 bytes": "a" * 10_000,
              "newline": "two\nlines", "escape": "\x1b[31mred\x1b[0m", "not UTF-8": b"caf\xe9", "UTF-8": "caf\u00e9",
              "substitution": "$(x)", "space": "a b", "slash": "a/b", "equals": "a=b", "begins with a dash": "-rf",
              "begins with a dot": ".hidden", "delete": "a\x7f", "bell": "\x07"}


class BadOptions(BusRing):
    def refuse_all(self, *commands, words=()):
        """Each is 2, for `up` and `run` alike, and leaves nothing."""
        for command in commands:
            for verb in (("up", *command), ("run", *command, "--", "true")):
                with self.subTest(verb=verb[0], command=command):
                    self.assert_refused(self.ctl("alice", *verb), 2, *words)
                    self.host.no_trace()
        self.assertTrue(self.host.daemon.alive())

    def test_count(self):
        """A count of 0, 10,000, one over the limit, negative, too large for a number, or none at all is 2."""
        self.refuse_all(*[("--count", count) for count in ("0", "10000", "33", "-1", "4294967296", "1.5", "two", "")],
                        words=("count",))

    def test_queues(self):
        """Queues of 0, 17, negative or no number are 2."""
        self.refuse_all(*[("--queues", queues) for queues in ("0", "17", "-1", "many", "")], words=("queues",))

    def test_labels(self):
        """Labels of 0, 64, 65 and 10,000 bytes, with newline, ESC, non-UTF-8, `$(x)` and more are 2."""
        for what, label in BAD_LABELS.items():
            option = b"--label=" + label if isinstance(label, bytes) else f"--label={label}"
            for verb in (("up", option), ("run", option, "--", "true")):
                with self.subTest(verb=verb[0], what=what):
                    self.assert_refused(self.ctl("alice", *verb), 2, "label")
                    self.host.no_trace()

    def test_idle_timeout(self):
        """An idle timeout of 0, longer than a year, negative or no number is 2."""
        for value in ("0", "31536001", "-1", "soon", "99999999999999999999"):
            with self.subTest(value=value):
                self.assert_refused(self.ctl("alice", "up", f"--idle-timeout={value}"), 2, "idle-timeout")
                self.host.no_trace()

    def test_unknown_options(self):
        """Unknown options and verbs are 2 and named; so is a format, a vhost choice that does not exist."""
        for words, named in ((("up", "--bogus"), "--bogus"), (("run", "--bogus", "--", "true"), "--bogus"),
                             (("list", "--bogus"), "--bogus"), (("bogus",), "bogus"), (("up", "bogus"), "bogus"),
                             (("up", "--format", "xml"), "xml"), (("run", "--vhost", "maybe", "--", "true"), "maybe"),
                             (("run", "--idle-timeout", "5", "--", "true"), "--idle-timeout")):
            with self.subTest(words=words):
                self.assert_refused(self.ctl("alice", *words), 2, named)
        self.host.no_trace()

    def test_missing_words(self):
        """A client without a verb, `down` and `args` without a name, and `down` with both a name and --all are 2."""
        for words in ((), ("down",), ("args",), ("down", "--all", NO_LEASE)):
            with self.subTest(words=words):
                self.assert_refused(self.ctl("alice", *words), 2)

    def test_lease_names(self):
        """A lease, label or tap that does not exist, of any shape, is one readable line and releases nothing."""
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
        """`down` of one good and one bad name says what it could not find, with 8."""
        grant = self.up("alice")
        self.assert_refused(self.ctl("alice", "down", grant["lease"], NO_LEASE), 8, NO_LEASE)

    def test_device_models(self):
        """A NIC model that is none, or that would break out of its word, is 2 and named by its option."""
        models = ("", "-nographic", "a b", "x'y", 'x"y', "a;b", "$(x)", "a\nb", "e1000\x1b", "a" * 10_000)
        self.refuse_all(*[(f"--device={model}",) for model in models], words=("device",))

    def test_full_stdout(self):
        """A grant that cannot be printed is no success: the error is told, and what nobody knows of is not kept."""
        with open("/dev/full", "wb") as full:
            done = self.ctl("alice", "up", stdout=full)
        self.assertEqual(done.status, 1, done)
        self.assertRegex(done.err, r"\Aqemu-tapctl: [^\n]+\n\Z")
        self.host.no_trace()

    def test_help_and_version(self):
        """--help and --version are no errors: 0, on stdout, and no daemon is needed for them."""
        self.host.stop_daemon()
        for words in (("--help",), ("up", "--help"), ("--version",)):
            with self.subTest(words=words):
                done = self.ctl("alice", *words)
                self.assertEqual((done.status, done.err), (0, ""))
                self.assertIn("qemu-tapctl", done.out)


class Limits(BusRing):
    options = ("--max-taps-per-user", "3", "--max-taps", "5")

    def test_per_user(self):
        """The limit per user is error 6, names the limit, and is not touched by others' leases (I8)."""
        self.up("alice", "--count", "2")
        self.assert_refused(self.ctl("alice", "up", "--count", "2"), 6, "3")
        self.assert_refused(self.ctl("alice", "run", "--count", "2", "--", "true"), 6, "3")
        self.assertEqual(len(kernel.ours()), 2)
        self.up("bob", "--count", "3")
        self.ok("alice", "down", "--all")
        self.up("alice", "--count", "2")

    def test_in_total(self):
        """The limit for all users together is error 6 too (I8)."""
        self.up("alice", "--count", "3")
        self.assert_refused(self.ctl("bob", "up", "--count", "3"), 6, "5")
        self.up("bob", "--count", "2")
        self.assertEqual(len(kernel.ours()), 5)


class NoDaemon(BusRing):
    VERBS = (("up",), ("run", "--", "true"), ("list",), ("list", "--json"), ("down", NO_LEASE), ("down", "--all"),
             ("args", NO_LEASE))

    def test_no_daemon(self):
        """Without a daemon every verb is 3 and says what is not there and what to do."""
        self.host.stop_daemon()
        for verb in self.VERBS:
            with self.subTest(verb=verb):
                self.assert_refused(self.ctl("alice", *verb), 3, "qemu-tapd")

    def test_no_bus(self):
        """Without a system bus every verb is 3 too."""
        self.host.stop_daemon()
        self.host.stop_bus()
        for verb in self.VERBS:
            with self.subTest(verb=verb):
                self.assert_refused(self.ctl("alice", *verb), 3)


class NoTun(BusRing):
    def test_absent(self):
        """Without /dev/net/tun `up` and `run` are 9, name the device, and leave nothing; with it again they work."""
        os.unlink("/dev/net/tun")
        for verb in (("up", "--count", "2"), ("run", "--", "true")):
            with self.subTest(verb=verb):
                self.assert_refused(self.ctl("alice", *verb), 9, "/dev/net/tun")
        self.host.no_trace()
        furnish.place_tun()
        self.up("alice")

    def test_closed(self):
        """A /dev/net/tun that even the daemon may not open (here: on a nodev mount) is 9 as well."""
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
    # /28 in /30s: four subnets, the last of which is never used.
    options = ("--pool", "192.168.8.0/28", "--prefix-length", "30", "--first-index", "0")

    def test_by_leases(self):
        """An exhausted pool is 7, the text names the pool and how much is leased; a partial lease is not given (I9)."""
        self.up("alice", "--count", "2")
        before = kernel.snapshot()
        self.assert_refused(self.ctl("bob", "up", "--count", "2"), 7, "192.168.8.0/28", "2 taps")
        self.assert_refused(self.ctl("bob", "run", "--count", "2", "--", "true"), 7, "192.168.8.0/28")
        self.assertEqual(kernel.snapshot(), before)
        self.up("bob")
        self.assert_refused(self.ctl("bob", "up"), 7, "192.168.8.0/28", "3 taps")

    def test_by_others(self):
        """The text names what of others occupies the pool: devices with their addresses, and routes."""
        kernel.ip("tuntap", "add", "lan0", "mode", "tun")
        kernel.ip("link", "set", "lan0", "up")
        kernel.ip("addr", "add", "192.168.8.1/29", "dev", "lan0")
        kernel.ip("route", "add", "192.168.8.9/32", "dev", "lan0")
        self.assert_refused(self.ctl("alice", "up"), 7, "192.168.8.0/28", "lan0", "192.168.8.1", "192.168.8.9")
