# SPDX-License-Identifier: MIT
"""The packages' life on a machine. After the installation they do nothing until they are called. An upgrade disturbs no
lease and no guest. A purge removes everything, including the leases."""

import json
import pathlib
import re
import subprocess
import tempfile
import unittest

from tests.lib import kernel
from tests.system.container import Container, packages_of

# What stays on a machine of any package that was ever installed: the package manager's database, logs, and the users
# and groups, which Debian's policy keeps because files may still be theirs. Also the temporary files of other services.
KEPT = re.compile(r"/(var/(lib/(dpkg|apt|systemd)|cache|log|backups|tmp)/|etc/(passwd|group|shadow|gshadow|sub[ug]id)-?$"
                  r"|var/lib/(dpkg|apt|systemd|polkit-1)$|etc/\.pwd\.lock$|opt/debs|tmp/|root/)")
LOCKS = "/tmp/qemu-tap-locks"
# Runs in place of QEMU: `run` appends words, which `sh -c` ignores.
HOLDER = ("sh", "-c", "exec sleep 600")
QEMU = ("qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "256", "-nodefaults", "-no-user-config", "-display",
        "none", "-serial", "stdio", "-no-reboot", "-kernel", "/opt/guest/pnp/vmlinuz", "-initrd", "/opt/guest/pnp/initrd",
        "-append")


def earlier(deb, folder):
    """Make the same package with an earlier version, so that the package manager can upgrade from it."""
    tree = f"{folder}/{pathlib.Path(deb).stem}"
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
    control = pathlib.Path(tree, "DEBIAN", "control")
    text = control.read_text(encoding="utf-8")
    (version,) = re.findall(r"^Version: (.*)$", text, re.MULTILINE)
    control.write_text(text.replace(version, f"{version}~before"), encoding="utf-8")
    target = f"{folder}/{pathlib.Path(deb).stem}~before.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, target], check=True, capture_output=True)
    return target


class Packages(unittest.TestCase):
    maxDiff = None
    debs = ()

    def setUp(self):
        self.container = Container(debs=self.debs)
        self.addCleanup(self.container.close)

    def ok(self, user, *arguments):
        done = self.container.ctl(user, *arguments)
        self.assertEqual((done.status, done.err), (0, ""), done)
        return done.out

    def files(self):
        found = self.container.root("find", "/", "-xdev", "-print0").out.split("\0")
        return {path for path in found if path and not KEPT.match(path)}

    def units(self):
        done = self.container.root("systemctl", "list-unit-files", "--no-legend", "--no-pager", "--full")
        # Without the units that systemd-run makes for the commands of this test.
        return {line.split()[0] for line in done.out.splitlines() if not line.startswith("run-")}

    def loaded(self):
        """Return the packages' units that systemd has loaded."""
        done = self.container.root("systemctl", "list-units", "--all", "--no-legend", "--no-pager", "--full", "qemu-*")
        return [line.strip() for line in done.out.splitlines()]


class Purge(Packages):
    def test_nothing_remains(self):
        """After use in every way a purge leaves no file, unit, device, address, route or process of the packages."""
        files, units, network = self.files(), self.units(), self.container.network()
        self.container.install(*packages_of(self.container.release))
        for user in ("alice", "bob"):
            self.container.root("gpasswd", "--add", user, "qemu-tap")
        self.assertGreater(len(self.files() - files), 20)
        self.assertEqual(self.container.root("stat", "--format=%a %U %F", LOCKS).out, "1777 root directory\n")
        self.ok("alice", "up", "--count", "2", "--label", "web")
        self.ok("root", "up", "--idle-timeout", "1h")
        held = self.container.start("bob", "qemu-tapctl", "run", "--count", "2", "--", *HOLDER)
        self.container.write("/etc/qemu-vm/shop.conf", "QEMU='sh -c \"exec sleep 600\"'\n")
        self.container.root("systemctl", "enable", "--now", "qemu-tapd", "qemu-vm@shop")
        self.container.wait_for(lambda: len(self.container.taps()) == 6, what="6 taps")
        self.assertEqual(self.container.root("ls", LOCKS).out.split(), sorted(f"{tap}.skip" for tap in
                                                                              self.container.taps()))
        done = self.container.run("root", "apt-get", "--yes", "purge", "qemu-tapctl", "qemu-tapd", timeout=120,
                                  environment={"DEBIAN_FRONTEND": "noninteractive"})
        self.assertEqual(done.status, 0, done)
        self.assertEqual(self.container.taps(), [])
        self.assertEqual(self.container.root("ls", "-d", LOCKS, check=False).out, "")
        self.assertEqual(kernel.differences(network, self.container.network()), [])
        held.kill()
        self.container.root("systemctl", "daemon-reload")
        self.assertEqual(self.units() - units, set())
        self.assertEqual(self.loaded(), [])
        # What the administrator wrote stays.
        self.assertEqual(self.files() - files, {"/etc/qemu-vm", "/etc/qemu-vm/shop.conf", "/var/lib/qemu-vm",
                                                "/var/lib/qemu-vm/shop"})
        self.assertEqual(self.container.root("find", "/run", "-name", "*qemu*").out, "")
        self.assertEqual(self.container.root("pgrep", "-f", "qemu-tap", check=False).out, "")

    def test_remove_without_leases(self):
        """Packages can be removed while the service does not run, installed again, and then work."""
        self.container.install(*packages_of(self.container.release))
        for _ in range(2):
            done = self.container.run("root", "dpkg", "--remove", "qemu-tapd", "qemu-tapctl", timeout=120)
            self.assertEqual(done.status, 0, done)
            self.container.install(*packages_of(self.container.release))
        self.ok("root", "up")
        self.assertEqual(self.container.taps(), ["tap8"])


class Upgrade(Packages):
    def setUp(self):
        super().setUp()
        self.now = packages_of(self.container.release)
        with tempfile.TemporaryDirectory() as folder:
            self.container.install(*(earlier(deb, folder) for deb in self.now))
        self.container.set_members("alice", "bob")

    def version(self):
        return self.container.root("dpkg-query", "-W", "-f", "${Version}", "qemu-tapd").out

    def test_live_leases(self):
        """An upgrade loses no ping of a guest under `run` and no lease; the new service lists and ends both leases."""
        self.assertTrue(self.version().endswith("~before"))
        self.ok("bob", "up", "--count", "2", "--label", "web")
        guest = self.container.start("alice", "qemu-tapctl", "run", "--", *QEMU, "guest.pings=60 guest.interval=0.2")
        self.container.wait_for(lambda: "GUEST-PINGING" in guest.log(), "the guest pings", 180)
        listed, before = self.ok("root", "list", "--all", "--json"), self.container.main_pid()
        self.assertEqual(len(json.loads(listed)), 2)
        self.container.install(*self.now)
        self.assertFalse(self.version().endswith("~before"))
        self.assertNotEqual(self.container.main_pid(), 0, "the service was not restarted, though it watches a lease")
        self.assertNotEqual(self.container.main_pid(), before)
        self.assertEqual(self.ok("root", "list", "--all", "--json"), listed)
        self.assertEqual(guest.wait(180), 0)
        said = guest.log()
        self.assertIn("sent=60 received=60", said)
        self.assertIn("GUEST-DONE ok", said)
        self.ok("bob", "down", "web")
        self.container.wait_for(lambda: not self.container.taps(), what="no tap is left")

    def test_shared_user(self):
        """VMs made before each VM had a user of its own keep running and keep the shared user, by a line RUN_AS=.

        A VM whose settings already name a user keeps that user."""
        self.container.write("/usr/lib/sysusers.d/qemu-vm.conf", "u qemu-vm - -\nm qemu-vm qemu-tap\n")
        self.container.root("systemd-sysusers", "qemu-vm.conf")
        self.container.root("chmod", "755", "/etc/qemu-vm")
        self.container.write("/etc/qemu-vm/old.conf", "QEMU='sh -c \"exec sleep 600\"'")
        self.container.write("/etc/qemu-vm/mine.conf", "RUN_AS=alice\n")
        for _ in range(2):
            self.container.install(*self.now)
            self.assertEqual(self.container.read("/etc/qemu-vm/mine.conf"), "RUN_AS=alice\n")
            self.assertEqual(self.container.read("/etc/qemu-vm/old.conf").splitlines()[-1:], ["RUN_AS=qemu-vm"])
            self.assertEqual(self.container.read("/etc/qemu-vm/old.conf").count("RUN_AS="), 1)
        self.assertEqual(self.container.root("stat", "-c", "%a", "/etc/qemu-vm").out.strip(), "750")
        self.container.root("systemctl", "start", "qemu-vm@old")
        pid = self.container.main_pid("qemu-vm@old")
        self.container.wait_for(lambda: self.container.root("stat", "-c", "%U", f"/proc/{pid}").out.strip() == "qemu-vm",
                                what="the old VM runs as the user that it had")
        self.container.write("/etc/qemu-vm/new.conf", "QEMU='sh -c \"exec sleep 600\"'\n")
        self.container.root("systemctl", "start", "qemu-vm@new")
        pid = self.container.main_pid("qemu-vm@new")
        self.container.wait_for(lambda: self.container.root("stat", "-c", "%U", f"/proc/{pid}").out.strip()
                                == "qemu-vm-new", what="a new VM has a user of its own")

    def test_not_running(self):
        """An upgrade does not start a stopped service, and the next call still lists its leases."""
        self.ok("bob", "up", "--label", "web")
        listed = self.ok("bob", "list", "--json")
        self.container.root("systemctl", "stop", "qemu-tapd")
        self.container.install(*self.now)
        self.assertEqual(self.container.main_pid(), 0)
        self.assertEqual(self.ok("bob", "list", "--json"), listed)
