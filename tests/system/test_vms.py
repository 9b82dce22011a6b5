# SPDX-License-Identifier: MIT
"""Virtual machines as units under a real systemd: guests with two NICs run through restarts of the daemon, until the
power button, they themselves, or a signal ends them. Their consoles are in the journal."""

import json
import re
import unittest

from tests.guest.guest import expected_story, nics_of
from tests.guest.vm import settings_file
from tests.lib import kernel
from tests.system.container import Container

CAPTURED = "/opt/tests/system/captured.py"
MOST = 3.0
BOOT_SECONDS = 180  # for two emulated guests at once on a busy machine


class Vms(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.container = Container()
        self.addCleanup(self.container.close)
        # Not set_members(): the unit itself adds the machines' users to the group.
        self.container.root("gpasswd", "--add", "alice", "qemu-tap")
        self.before = self.container.network()

    def evidence(self):
        return "\n".join(self.container.journal().splitlines()[-60:])

    def describe(self, name, image="cloud", **settings):
        self.container.write(f"/etc/qemu-vm/{name}.conf",
                             settings_file(f"/opt/guest/{image}/vmlinuz", f"/opt/guest/{image}/initrd", **settings))

    def systemctl(self, *words, timeout=BOOT_SECONDS):
        """Run systemctl as an administrator does, from a service of root's."""
        done = self.container.run("root", "systemctl", *words, timeout=timeout)
        self.assertEqual(done.status, 0, done)
        return done

    def said(self, name):
        """Return the report of the guest's init from the journal."""
        lines = re.findall(r"\]: (GUEST-.*)$", self.container.journal(f"qemu-vm@{name}").replace("\r", ""), re.MULTILINE)
        return [line for line in lines if not line.startswith("GUEST-UPTIME")]

    def wait_for_word(self, name, word):
        self.container.wait_for(lambda: word in self.said(name), f"guest {name} reports {word}", BOOT_SECONDS)

    def leases(self):
        """Return the leases of all users, by label."""
        done = self.container.ctl("root", "list", "--all", "--json")
        self.assertEqual(done.status, 0, done)
        return {lease["label"]: lease for lease in json.loads(done.out)}

    def assert_nothing_left(self):
        self.container.wait_for(lambda: kernel.differences(self.before, self.container.network()) == [],
                                "no device, address or route is left")
        self.assertEqual(self.container.root("find", "/run/qemu-vm", "-mindepth", "1", check=False).out, "")

    def state(self, name):
        return self.container.show(f"qemu-vm@{name}", "ActiveState", "Result")


class Life(Vms):
    def test_two_and_a_users(self):
        """Two units with two NICs each and a user's `run` lose no ping in three daemon restarts, and stop cleanly."""
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
            self.assertEqual(self.container.root("stat", "-c", "%U", f"/proc/{pid}").out.strip(), f"qemu-vm-{name}")
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
        """systemd restarts a QEMU that was killed, and it has the same device names and addresses."""
        self.describe("web", nics=2, words="guest.pings=0")
        self.systemctl("start", "qemu-vm@web")
        self.container.wait_for(lambda: "web" in self.leases(), "the unit's lease")
        lease, pid = self.leases()["web"], self.container.main_pid("qemu-vm@web")
        self.container.root("kill", "-KILL", pid)
        self.container.wait_for(lambda: self.container.main_pid("qemu-vm@web") not in (0, pid) and "web" in self.leases(),
                                "the unit was started again")
        self.assertEqual(self.leases()["web"]["taps"], lease["taps"])
        self.wait_for_word("web", "GUEST-WAITING")
        self.systemctl("stop", "qemu-vm@web")
        self.assert_nothing_left()


class Apart(Vms):
    """Two machines, one of them taken over by its guest: what that one can do to the other and to the host."""

    def capture(self, name, **settings):
        """Start a machine whose QEMU the guest has already taken over."""
        lines = [f"{key.upper()}={text}" for key, text in settings.items()]
        self.container.write(f"/etc/qemu-vm/{name}.conf", "\n".join([*lines, f"QEMU={CAPTURED}"]) + "\n")
        self.systemctl("start", f"qemu-vm@{name}")
        self.addCleanup(self.container.run, "root", "systemctl", "kill", "--signal=KILL", f"qemu-vm@{name}")
        self.container.wait_for(lambda: self.container.root("test", "-S", self.socket(name, "orders"), check=False).status
                                == 0, f"{name} has started")

    @staticmethod
    def socket(name, which):
        return f"/run/qemu-vm/{name}/sockets/{which}"

    def order(self, name, expression):
        return json.loads(self.container.root(CAPTURED, "--order", self.socket(name, "orders"), expression).out)

    def test_neighbour(self):
        """A captured QEMU cannot reach the other's QMP socket, process or lease, and its own taps are at most 32."""
        for name in ("web", "db"):
            self.capture(name)
        pid, lease = self.container.main_pid("qemu-vm@db"), self.leases()["db"]
        users = {name: self.order(name, "os.getuid()") for name in ("web", "db")}
        found = {"qmp": self.order("web", f"connect({self.socket('db', 'qmp')!r})"),
                 "own qmp": self.order("web", f"connect({self.socket('web', 'qmp')!r})"),
                 "seen": self.order("web", f"os.path.exists('/proc/{pid}')"),
                 "environment": self.order("web", f"read('/proc/{pid}/environ')"),
                 "down": self.order("web", f"run('qemu-tapctl', 'down', {lease['lease']!r})")[0],
                 "31 more": self.order("web", "run('qemu-tapctl', 'up', '--count', '31')")[0],
                 "one more": self.order("web", "run('qemu-tapctl', 'up')")[0],
                 "the other's": self.order("db", "run('qemu-tapctl', 'up', '--count', '31')")[0]}
        self.assertNotEqual(users["web"], users["db"])
        self.assertEqual(found, {"qmp": "PermissionError", "own qmp": None, "seen": False,
                                 "environment": "FileNotFoundError", "down": 8, "31 more": 0, "one more": 6,
                                 "the other's": 0})
        self.assertEqual(self.leases()["db"]["lease"], lease["lease"])
        for name in ("web", "db"):
            self.assertEqual(self.order(name, "run('qemu-tapctl', 'down', '--all')")[0], 0)

    def test_run(self):
        """A captured QEMU can write to one place in /run, and only a little; that place is removed with the unit."""
        self.capture("web")
        self.assertEqual(self.order("web", "writable('/run')"), ["/run/qemu-vm/web/sockets"])
        written, files = self.order("web", "fill('/run/qemu-vm/web/sockets')")
        self.shows = f"{written} bytes, {files} files"
        self.assertLessEqual(written, 1 << 20)
        self.assertLessEqual(files, 64)
        for folder in ("/tmp", "/var/tmp", "/dev/shm"):
            self.assertIsNone(self.order("web", f"make_file('{folder}/mine')"), folder)
            self.order("web", f"open('{folder}/theirs', 'w').close()")
            self.assertNotEqual(self.container.root("test", "-e", f"{folder}/theirs", check=False).status, 0, folder)
        for folder in ("/etc", "/var/lib/qemu-vm", "/run/lock", "/usr/local/bin"):
            self.assertIsNotNone(self.order("web", f"make_file('{folder}/mine')"), folder)
        # Kill the main process only: a signal to the whole unit would also end what systemd starts afterwards.
        self.container.root("kill", "-KILL", self.container.main_pid("qemu-vm@web"))
        self.container.wait_for(lambda: self.state("web")["ActiveState"] != "active", what="systemd has seen it")
        self.systemctl("stop", "qemu-vm@web")
        self.assertEqual(self.container.root("find", "/run/qemu-vm", "-mindepth", "1", check=False).out, "")
        self.assertNotIn("/run/qemu-vm", self.container.read("/proc/mounts"))

    def test_console(self):
        """A console line that begins like an emergency message has normal priority in the journal."""
        self.capture("web")
        self.order("web", "say('<0>the host is on fire')")
        entry = self.container.wait_for(lambda: [line for line in map(json.loads, self.entries("web"))
                                                 if "on fire" in line["MESSAGE"]], "the journal has the line")[0]
        self.assertEqual((entry["PRIORITY"], entry["MESSAGE"]), ("6", "<0>the host is on fire"))

    def entries(self, name):
        self.container.root("journalctl", "--sync")
        return self.container.root("journalctl", "--output=json", "--unit", f"qemu-vm@{name}").out.splitlines()

    def test_environment(self):
        """The settings' variables are in QEMU's environment, and QEMU's sandbox is on unless they switch it off."""
        self.capture("web", colour="green")
        self.capture("db", sandbox="")
        self.assertEqual(self.order("web", "os.environ['COLOUR']"), "green")
        self.assertEqual(self.order("web", "os.environ['HOME']"), "/var/lib/qemu-vm/web")
        words = {name: self.order(name, "sys.argv") for name in ("web", "db")}
        self.assertIn("on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", words["web"])
        self.assertNotIn("-sandbox", words["db"])

    def test_devices(self):
        """A captured QEMU cannot open device nodes that every user may open, except those that QEMU needs."""
        self.container.root("mknod", "--mode=666", "/dev/rig-kmsg", "c", "1", "11")
        self.capture("web")
        self.assertTrue(self.order("web", "os.close(os.open('/dev/net/tun', os.O_RDWR)) is None"))
        self.assertEqual(self.order("web", "read('/dev/rig-kmsg')"), "PermissionError")

    def test_user(self):
        """A machine whose name no user can have has a user too; it owns what root put into its directory before.

        It does not own what root adds after the first start."""
        self.container.write("/var/lib/qemu-vm/a.b:c@d/disk", "data")
        self.capture("a.b:c@d")
        user = self.container.root("/usr/libexec/qemu-vm-prepare", "user", "a.b:c@d").out.strip()
        self.assertRegex(user, r"\Aqemu-vm_[0-9a-f]{22}\Z")
        owners = ("stat", "-c", "%U", "/var/lib/qemu-vm/a.b:c@d", "/var/lib/qemu-vm/a.b:c@d/disk")
        self.assertEqual(self.container.root(*owners).out.split(), [user, user])
        self.assertEqual(self.order("a.b:c@d", "read('/var/lib/qemu-vm/a.b:c@d/disk')"), 4)
        self.container.write("/var/lib/qemu-vm/a.b:c@d/later", "data", mode="600")
        pid = self.container.main_pid("qemu-vm@a.b:c@d")
        self.container.root("kill", "-KILL", pid)
        self.container.wait_for(lambda: self.container.main_pid("qemu-vm@a.b:c@d") not in (0, pid) and
                                self.container.root("test", "-S", self.socket("a.b:c@d", "orders"),
                                                    check=False).status == 0, "it is started again")
        self.assertEqual(self.order("a.b:c@d", "read('/var/lib/qemu-vm/a.b:c@d/later')"), "PermissionError")


class Unit(Vms):
    def test_exposure(self):
        """systemd-analyze rates the unit's exposure at most 3.0, without a running machine (--offline)."""
        path = self.container.show("qemu-vm@web.service", "FragmentPath")
        done = self.container.root("systemd-analyze", "security", "--offline=yes", "--no-pager", path, check=False)
        found = re.search(r"Overall exposure level for qemu-vm@\S*service: ([0-9.]+)", done.out)
        self.assertTrue(found, done)
        self.shows = f"exposure {found.group(1)}, at most {MOST}"
        self.assertLessEqual(float(found.group(1)), MOST, done.out)

    def test_settings_are_roots(self):
        """Only root can read the settings, because they say what root starts."""
        self.assertEqual(self.container.root("stat", "-c", "%a %U:%G", "/etc/qemu-vm").out.strip(), "750 root:root")


class End(Vms):
    def test_by_itself(self):
        """A guest that powers itself off ends its unit as inactive, not failed; no restart follows, nothing is left."""
        self.describe("web", words="guest.pings=0 guest.end=poweroff")
        self.systemctl("start", "qemu-vm@web")
        self.wait_for_word("web", "GUEST-DONE ok")
        self.container.wait_for_state("qemu-vm@web", "inactive")
        self.assertEqual(self.state("web"), {"ActiveState": "inactive", "Result": "success"})
        self.assertEqual(self.container.show("qemu-vm@web", "NRestarts"), "0")
        self.assert_nothing_left()

    def test_deaf(self):
        """A guest without ACPI is ended after the unit's stop timeout, and nothing is left."""
        self.container.write("/etc/systemd/system/qemu-vm@.service.d/time.conf", "[Service]\nTimeoutStopSec=3s\n")
        self.systemctl("daemon-reload")
        self.describe("web", image="pnp", words="guest.pings=0")
        self.systemctl("start", "qemu-vm@web")
        self.wait_for_word("web", "GUEST-WAITING")
        done = self.container.run("root", "systemctl", "stop", "qemu-vm@web", timeout=120)
        self.assertGreater(done.seconds, 2.5)
        self.assertNotIn(self.state("web")["ActiveState"], ("active", "activating", "deactivating"))
        self.assert_nothing_left()


class Settings(Vms):
    def test_no_file(self):
        """Without a file in /etc/qemu-vm the start fails with the words that doc/troubleshooting.md explains."""
        done = self.container.run("root", "systemctl", "start", "qemu-vm@nobody")
        self.assertEqual(done.status, 1, done)
        self.assertIn("Assertion failed", self.container.journal("qemu-vm@nobody"))
        self.assert_nothing_left()

    def test_user(self):
        """RUN_AS= names the user that owns the lease; a user that may not have taps is refused, without retries."""
        self.describe("mine", run_as="alice", words="guest.pings=0")
        self.describe("theirs", run_as="dave", words="guest.pings=0")
        self.systemctl("start", "qemu-vm@mine")
        self.container.wait_for(lambda: "mine" in self.leases(), "the unit's lease")
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
        """Settings that were changed or removed after the start do not keep the guest from being powered down."""
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
        """An instance can be enabled to start at boot."""
        self.describe("web")
        self.systemctl("enable", "qemu-vm@web")
        self.assertEqual(self.container.root("systemctl", "is-enabled", "qemu-vm@web").out.strip(), "enabled")
