# SPDX-License-Identifier: MIT
"""Virtual machines as units: guests with two NICs under a real systemd, through restarts of the daemon, to their end by
the power button, by themselves, and by force. Their consoles are in the journal."""

import json
import os
import re
import sys
import unittest

from container import Container
from rig import kernel

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "guest"))

from guest import expected_story, nics_of  # noqa: E402 (the path above comes first)
from vm import settings_file  # noqa: E402

BOOT_SECONDS = 120  # two emulated guests at once, on a machine that may have more to do


class Vms(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.container = Container()
        self.addCleanup(self.container.close)
        # Not set_members(): that qemu-vm is a member is the package's doing.
        self.container.root("gpasswd", "--add", "alice", "qemu-tap")
        self.before = self.container.network()

    def evidence(self):
        return "\n".join(self.container.journal().splitlines()[-60:])

    def describe(self, name, image="cloud", **settings):
        self.container.write(f"/etc/qemu-vm/{name}.conf",
                             settings_file(f"/opt/guest/{image}/vmlinuz", f"/opt/guest/{image}/initrd", **settings))

    def systemctl(self, *words, timeout=BOOT_SECONDS):
        """As an administrator would, from a service of root's."""
        done = self.container.run("root", "systemctl", *words, timeout=timeout)
        self.assertEqual(done.status, 0, done)
        return done

    def said(self, name):
        """What the guest's own program told, in its order."""
        lines = re.findall(r"\]: (GUEST-.*)$", self.container.journal(f"qemu-vm@{name}").replace("\r", ""), re.MULTILINE)
        return [line for line in lines if not line.startswith("GUEST-UPTIME")]

    def wait_for_word(self, name, word):
        self.container.wait_for(lambda: word in self.said(name), BOOT_SECONDS, f"guest {name} says {word}")

    def leases(self):
        """Everyone's, by label."""
        done = self.container.ctl("root", "list", "--all", "--json")
        self.assertEqual(done.status, 0, done)
        return {lease["label"]: lease for lease in json.loads(done.out)}

    def assert_nothing_left(self):
        self.container.wait_for(lambda: kernel.differences(self.before, self.container.network()) == [], 5,
                                "no device, address or route is left")
        self.assertEqual(self.container.root("find", "/run/qemu-vm", "-mindepth", "1", check=False).out, "")

    def state(self, name):
        return self.container.show(f"qemu-vm@{name}", "ActiveState", "Result")


class Life(Vms):
    def test_two_and_a_users(self):
        """Two units with two NICs each and a user's `run`: all ping their gateways, no ping is lost through three restarts
        of the daemon, and `systemctl stop` powers the guests down and leaves nothing."""
        for name in ("web", "db"):
            self.describe(name, nics=2, words="guest.pings=150 guest.interval=0.2")
        self.systemctl("start", "qemu-vm@web", "qemu-vm@db")
        held = self.container.start("alice", "qemu-tapctl", "run", "--label", "mine", "--", "sh", "-c",
                                    "exec sleep 600")
        for name in ("web", "db"):
            self.wait_for_word(name, "GUEST-PINGING")
        leases, pids = self.leases(), {name: self.container.main_pid(f"qemu-vm@{name}") for name in ("web", "db")}
        self.assertEqual({label: len(lease["taps"]) for label, lease in leases.items()}, {"web": 2, "db": 2, "mine": 1})
        for name, pid in pids.items():
            self.assertEqual(self.container.read(f"/proc/{pid}/comm").strip(), "qemu-system-x86")
            self.assertEqual(self.container.root("stat", "-c", "%U", f"/proc/{pid}").out.strip(), "qemu-vm")
        for _ in range(3):
            self.systemctl("restart", "qemu-tapd")
            self.assertEqual(self.leases(), leases)
        for name in ("web", "db"):
            self.wait_for_word(name, "GUEST-WAITING")
            self.assertEqual(self.said(name),
                             [*expected_story(nics_of(leases[name], "cloud"), pings=150), "GUEST-WAITING"])
        self.assertEqual({name: self.container.main_pid(f"qemu-vm@{name}") for name in pids}, pids)
        self.systemctl("stop", "qemu-vm@web", "qemu-vm@db")
        for name in ("web", "db"):
            self.assertEqual(self.said(name)[-1], "GUEST-POWERDOWN")
            self.assertEqual(self.state(name), {"ActiveState": "inactive", "Result": "success"})
        held.kill()
        self.assert_nothing_left()

    def test_started_again(self):
        """A QEMU that is killed is started again, with the same device names and addresses."""
        self.describe("web", nics=2, words="guest.pings=0")
        self.systemctl("start", "qemu-vm@web")
        self.container.wait_for(lambda: "web" in self.leases(), 20, "the unit's lease")
        lease, pid = self.leases()["web"], self.container.main_pid("qemu-vm@web")
        self.container.root("kill", "-KILL", pid)
        self.container.wait_for(lambda: self.container.main_pid("qemu-vm@web") not in (0, pid) and "web" in self.leases(),
                                20, "the unit was started again")
        self.assertEqual(self.leases()["web"]["taps"], lease["taps"])
        self.wait_for_word("web", "GUEST-WAITING")
        self.systemctl("stop", "qemu-vm@web")
        self.assert_nothing_left()


class End(Vms):
    def test_by_itself(self):
        """A guest that ends by itself has ended well: not failed, not started again, nothing left."""
        self.describe("web", words="guest.pings=0 guest.end=poweroff")
        self.systemctl("start", "qemu-vm@web")
        self.wait_for_word("web", "GUEST-DONE ok")
        self.container.wait_for_state("qemu-vm@web", "inactive", timeout=30)
        self.assertEqual(self.state("web"), {"ActiveState": "inactive", "Result": "success"})
        self.assertEqual(self.container.show("qemu-vm@web", "NRestarts"), "0")
        self.assert_nothing_left()

    def test_deaf(self):
        """A guest without ACPI is ended when its time is up, and nothing is left."""
        self.container.write("/etc/systemd/system/qemu-vm@.service.d/time.conf", "[Service]\nTimeoutStopSec=3s\n")
        self.systemctl("daemon-reload")
        self.describe("web", image="pnp", words="guest.pings=0")
        self.systemctl("start", "qemu-vm@web")
        self.wait_for_word("web", "GUEST-WAITING")
        done = self.container.run("root", "systemctl", "stop", "qemu-vm@web", timeout=30)
        self.assertGreater(done.seconds, 2.5)
        self.assertNotIn(self.state("web")["ActiveState"], ("active", "activating", "deactivating"))
        self.assert_nothing_left()


class Settings(Vms):
    def test_no_file(self):
        """Without a file in /etc/qemu-vm the start fails, in the words that the README explains."""
        done = self.container.run("root", "systemctl", "start", "qemu-vm@nobody")
        self.assertEqual(done.status, 1, done)
        self.assertIn("Assertion failed", self.container.journal("qemu-vm@nobody"))
        self.assert_nothing_left()

    def test_user(self):
        """RUN_AS= names another user, whose lease it is then; one who may not have taps is refused, and not again and
        again."""
        self.describe("mine", run_as="alice", words="guest.pings=0")
        self.describe("theirs", run_as="dave", words="guest.pings=0")
        self.systemctl("start", "qemu-vm@mine")
        self.container.wait_for(lambda: "mine" in self.leases(), 20, "the unit's lease")
        (lease,) = json.loads(self.container.ctl("alice", "list", "--json").out)
        self.assertEqual((lease["label"], lease["uid"]), ("mine", 64101))
        self.container.run("root", "systemctl", "start", "qemu-vm@theirs")
        self.container.wait_for_state("qemu-vm@theirs", "failed")
        self.assertEqual(self.container.show("qemu-vm@theirs", "NRestarts", "ExecMainStatus"),
                         {"NRestarts": "0", "ExecMainStatus": "4"})
        self.assertIn("qemu-tap", self.container.journal("qemu-vm@theirs"))
        self.systemctl("kill", "--signal=TERM", "qemu-vm@mine")
        self.container.wait_for_state("qemu-vm@mine", "inactive", "failed")
        self.assert_nothing_left()

    def test_edited_meanwhile(self):
        """Settings that were changed, or are gone, since the guest was started don't keep it from being powered down."""
        self.describe("changed", words="guest.pings=0")
        self.describe("gone", words="guest.pings=0")
        self.systemctl("start", "qemu-vm@changed", "qemu-vm@gone")
        for name in ("changed", "gone"):
            self.wait_for_word(name, "GUEST-WAITING")
        self.describe("changed", run_as="alice", words="guest.pings=0")
        self.container.root("rm", "/etc/qemu-vm/gone.conf")
        self.systemctl("stop", "qemu-vm@changed", "qemu-vm@gone")
        for name in ("changed", "gone"):
            self.assertEqual(self.said(name)[-1], "GUEST-POWERDOWN")
            self.assertEqual(self.state(name), {"ActiveState": "inactive", "Result": "success"})
        self.assert_nothing_left()

    def test_enabled(self):
        """An instance can be enabled, so that it starts at boot."""
        self.describe("web")
        self.systemctl("enable", "qemu-vm@web")
        self.assertEqual(self.container.root("systemctl", "is-enabled", "qemu-vm@web").out.strip(), "enabled")
