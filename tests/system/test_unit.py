# SPDX-License-Identifier: MIT
"""The shipped unit: how strictly systemd rates its sandbox, that the sandbox is enforced, and that the service works in
it nevertheless. A sandbox that is not enforced, or a service in a network namespace of its own, would look the same
from inside, so each test also shows that the same is possible outside the unit."""

import json
import re

from tests.system.ring import HOLDER, UNIT, SystemRing

MOST = 1.5
CAP_NET_ADMIN = 1 << 12
USER = "qemu-tapd"
LOCKS = "/tmp/qemu-tap-locks"
CLEANING = "/etc/tmpfiles.d/tmp.conf"  # replaces the file of this name that every Debian has
MASK = "/etc/tmpfiles.d/qemu-tapd.conf"
KERNEL_LOG = "/dev/rig-kmsg"  # the test makes this node: a container has none
PROBE = f"/opt/tests/system/probe.py {KERNEL_LOG} /dev/net/tun /dev/null"
# Replaces the service in its unit, and keeps all other settings of the unit.
IN_ITS_PLACE = f"""[Service]
ExecStart=
ExecStart=!/usr/bin/python3 {PROBE}
Type=oneshot
WatchdogSec=0
Restart=no
StandardOutput=file:/run/probe.json
"""


class Security(SystemRing):
    def test_exposure(self):
        """systemd-analyze rates the unit's exposure at most 1.5, without a running service (--offline)."""
        path = self.container.show(UNIT, "FragmentPath")
        done = self.container.root("systemd-analyze", "security", "--offline=yes", f"--threshold={MOST * 10:.0f}",
                                   "--no-pager", path, check=False)
        found = re.search(r"Overall exposure level for qemu-tapd\.service: ([0-9.]+)", done.out)
        self.assertTrue(found, done)
        self.shows = f"exposure {found.group(1)}, at most {MOST}"
        self.assertLessEqual(float(found.group(1)), MOST, done.out)
        self.assertEqual(done.status, 0, done)

    def test_verifies(self):
        """systemd-analyze verify finds no problem in the unit."""
        done = self.container.root("systemd-analyze", "verify", "--man=no", self.container.show(UNIT, "FragmentPath"))
        self.assertEqual((done.out, done.err), ("", ""))


class Enforced(SystemRing):
    def setUp(self):
        super().setUp()
        self.container.root("mknod", "--mode=666", KERNEL_LOG, "c", "1", "11")
        self.addCleanup(self.container.root, "rm", KERNEL_LOG)

    def inside(self):
        """Return what the probe finds in the unit."""
        self.drop_in(IN_ITS_PLACE)
        self.container.root("systemctl", "start", UNIT)
        return json.loads(self.container.read("/run/probe.json"))

    def outside(self):
        done = self.container.run("root", "python3", *PROBE.split())
        self.assertEqual(done.status, 0, done)
        return json.loads(done.out)

    def test_devices(self):
        """In the unit only /dev/net/tun and harmless devices can be opened; outside, others can."""
        self.assertEqual(self.outside()["nodes"], {KERNEL_LOG: None, "/dev/net/tun": None, "/dev/null": None})
        self.assertEqual(self.inside()["nodes"], {KERNEL_LOG: "ENOENT", "/dev/net/tun": None, "/dev/null": None})

    def test_tun_by_rule(self):
        """The unit's DeviceAllow= opens tun: under the same DevicePolicy= without it, tun is closed."""
        self.drop_in(f"{IN_ITS_PLACE}DeviceAllow=\nDeviceAllow=/dev/vhost-net rw\n")
        self.container.root("systemctl", "start", UNIT)
        found = json.loads(self.container.read("/run/probe.json"))
        self.assertEqual((found["nodes"]["/dev/net/tun"], found["tap"]), ("EPERM", "EPERM"))

    def test_running_service(self):
        """The device rules hold in the running service's control group for any process that is put into it."""
        self.ok("root", "list")
        opened = f"exec 3<>{KERNEL_LOG}"
        self.container.root("sh", "-c", opened)
        group = "/sys/fs/cgroup" + self.container.show(UNIT, "ControlGroup")
        done = self.container.root("sh", "-c", f"echo $$ >{group}/cgroup.procs && {opened}", check=False)
        self.assertNotEqual(done.status, 0)
        self.assertIn("Operation not permitted", done.err)
        self.container.root("sh", "-c", f"echo $$ >{group}/cgroup.procs && exec 3<>/dev/net/tun")

    def test_capabilities(self):
        """The service runs as its own user with CAP_NET_ADMIN and no other capability, and cannot gain more."""
        self.ok("root", "list")
        found = {}
        for line in self.container.read(f"/proc/{self.container.main_pid()}/status").splitlines():
            name, _, text = line.partition(":")
            found[name] = text.split()
        masks = {name: int(found[name][0], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")}
        self.assertEqual(masks, {"CapPrm": CAP_NET_ADMIN, "CapEff": CAP_NET_ADMIN, "CapBnd": 0, "CapAmb": 0})
        self.assertEqual(int(found["CapInh"][0], 16), 0)
        uid = self.container.root("id", "--user", USER).out.strip()
        self.assertEqual(found["Uid"], [uid] * 4)
        self.assertEqual(found["NoNewPrivs"], ["1"])
        self.assertEqual(found["Seccomp"], ["2"], "no filter of system calls")

    def test_intruder(self):
        """Nothing that an intruder tries inside the running service succeeds, not even starting a systemd unit."""
        self.ok("root", "list")
        pid = str(self.container.main_pid())
        outcomes = json.loads(self.container.root("python3", "/opt/tests/lib/inside.py", pid).out)
        done = [deed for deed, reason in outcomes.items() if reason is None]
        self.shows = f"{len(outcomes)} deeds of an intruder tried inside, {len(done)} succeeded"
        self.assertIn("StartTransientUnit", outcomes)
        self.assertEqual(done, [], outcomes)
        self.ok("root", "list")

    def test_network(self):
        """The service runs in the machine's network namespace, not in one of its own."""
        self.ok("root", "list")
        own = self.container.root("readlink", "/proc/1/ns/net").out
        self.assertEqual(self.container.root("readlink", f"/proc/{self.container.main_pid()}/ns/net").out, own)
        self.assertEqual(self.inside()["network"], own.strip())

    def test_address_families(self):
        """In the unit only local and netlink sockets can be made; outside, others can."""
        free = self.outside()["families"]
        self.assertEqual([free[name] for name in ("AF_UNIX", "AF_NETLINK", "AF_INET", "AF_PACKET")], [None] * 4)
        self.assertEqual(self.inside()["families"],
                         {"AF_UNIX": None, "AF_NETLINK": None, "AF_INET": "EAFNOSUPPORT", "AF_INET6": "EAFNOSUPPORT",
                          "AF_PACKET": "EAFNOSUPPORT", "AF_VSOCK": "EAFNOSUPPORT"})

    def test_files(self):
        """In the unit only a /tmp of its own can be written to, and homes are hidden; outside, all paths can be."""
        free, confined = self.outside(), self.inside()
        self.assertEqual(set(free["written"].values()) | {free["setting"]}, {None})
        self.assertEqual([path for path, refused in confined["written"].items() if refused is None],
                         ["/tmp/rig-probe"])
        self.assertEqual(confined["setting"], "EROFS")

    def test_taps(self):
        """In the unit a tap can be made."""
        self.assertIsNone(self.inside()["tap"])


class Leftover(SystemRing):
    """A process of the service that outlives it, as one does in which the kernel cannot finish a deletion. A container
    cannot have memory that never arrives (FUSE, userfaultfd), which causes that, so a process that ignores SIGTERM
    takes its place. If systemd waited for it, it would send SIGKILL after the unit's 23 seconds for a stop. So the
    process still runs after the stop only if nothing waited for it."""

    def leave_behind(self):
        """Put the process into the service's control group and return its pid."""
        group = "/sys/fs/cgroup" + self.container.show(UNIT, "ControlGroup")
        script = f"trap '' TERM; sleep 1000 <&- >&- 2>&- & echo $! >{group}/cgroup.procs; echo $!"
        return self.container.root("sh", "-c", script).out.strip()

    def test_restart(self):
        """Stop and restart of the unit neither wait for a stuck deletion nor end it, and a new service serves (I6)."""
        self.ok("root", "list")
        for words in (["restart", UNIT], ["stop", UNIT]):
            pid, main = self.leave_behind(), self.container.main_pid()
            self.container.root("systemctl", *words)
            self.assertEqual(self.container.root("kill", "-0", pid, check=False).status, 0, "the stop has waited for it")
            self.ok("root", "list")
            self.assertNotEqual(self.container.main_pid(), main)
            self.container.root("kill", "-KILL", pid)


class Working(SystemRing):
    members = ("alice", "bob")

    def test_by_name(self):
        """`up` gives taps that are up, owned by the user, with an address and without IPv6; `down` ends them."""
        before = self.container.network()
        grant = self.up("alice", "--count", "2")
        links = self.container.links()
        for tap in grant["taps"]:
            link = links[tap["name"]]
            self.assertIn("UP", link["flags"])
            self.assertEqual(link["linkinfo"]["info_data"]["user"], "alice")
            self.assertIn(f"{tap['gateway']}/24", self.container.root("ip", "-br", "addr", "show", tap["name"]).out)
            self.assertEqual(self.container.read(f"/proc/sys/net/ipv6/conf/{tap['name']}/disable_ipv6"), "1\n")
        self.ok("alice", "down", grant["lease"])
        self.assertEqual(self.container.network(), before)

    def test_by_descriptor(self):
        """`run` gives descriptors that hold the tap, which exists as long as the program does."""
        before = self.container.network()
        program = self.container.start("bob", "qemu-tapctl", "run", "--queues", "2", "--", *HOLDER)
        self.container.wait_for(self.container.taps, "the tap is there")
        (lease,) = self.leases("bob")
        self.assertEqual((lease["hold"], lease["taps"][0]["queues"]), ("fd", 2))
        program.kill()
        self.assertEqual(program.wait(), -9)
        self.container.wait_for(lambda: self.container.network() == before, "the tap is gone")

    def test_without_vhost(self):
        """Without /dev/vhost-net `--vhost auto` does without it, and `yes` is refused with exit status 10."""
        done = self.container.ctl("alice", "run", "--vhost", "yes", "--", "true")
        self.assertEqual((done.status, done.out), (10, ""), done)
        self.assertIn("/dev/vhost-net", done.err)
        done = self.container.ctl("alice", "run", "--vhost", "auto", "--", "true")
        self.assertEqual((done.status, done.err), (0, ""), done)
        self.container.wait_for(lambda: not self.container.taps(), "no tap is left")


class RunqemuLocks(SystemRing):
    """The only directory in the machine's /tmp that the service writes to, whichever process made it first."""

    members = ("alice",)

    def setUp(self):
        super().setUp()
        self.make_anew()
        self.addCleanup(self.make_anew)

    def make_anew(self):
        self.container.root("rm", "-rf", LOCKS)
        self.container.root("systemd-tmpfiles", "--create", "qemu-tapd.conf")

    def files(self):
        return self.container.root("ls", LOCKS).out.split()

    def facts(self):
        return self.container.root("stat", "--format=%a %U %F", LOCKS).out.strip()

    def warnings(self):
        return [line for line in self.log().splitlines() if "runqemu may take taps of ours" in line]

    def test_shared(self):
        """The service's files for runqemu are in the host's directory, root's, as long as their lease exists."""
        self.assertEqual(self.facts(), "1777 root directory")
        grant = self.up("alice", "--count", "2")
        names = [tap["name"] for tap in grant["taps"]]
        self.assertEqual(self.files(), [f"{name}.skip" for name in names])
        self.assertEqual(self.container.root("stat", "--format=%a %U", f"{LOCKS}/{names[0]}.skip").out, f"444 {USER}\n")
        self.ok("alice", "down", grant["lease"])
        self.assertEqual((self.files(), self.warnings()), ([], []))

    def test_users_first(self):
        """The start of the service makes root own a directory that a user made; the user keeps its lock file."""
        self.container.root("rm", "-rf", LOCKS)
        done = self.container.run("bob", "sh", "-c", f"mkdir {LOCKS} && chmod 777 {LOCKS} && touch {LOCKS}/tap0.lock")
        self.assertEqual((done.status, self.facts()), (0, "777 bob directory"), done)
        (tap,) = self.up("alice")["taps"]
        self.assertEqual((self.facts(), self.files()), ("1777 root directory", ["tap0.lock", f"{tap['name']}.skip"]))
        self.assertEqual(self.container.root("stat", "--format=%U", f"{LOCKS}/tap0.lock").out, "bob\n")
        self.assertEqual(self.warnings(), [])

    def test_missing(self):
        """The start of the service makes a missing directory."""
        self.container.root("rm", "-rf", LOCKS)
        (tap,) = self.up("alice")["taps"]
        self.assertEqual((self.facts(), self.files()), ("1777 root directory", [f"{tap['name']}.skip"]))

    def test_link(self):
        """A user's link in place of the directory costs one warning, wherever it points, and is not followed."""
        before = self.container.root("ls", "-A", "/etc").out
        for target in ("/etc", "/etc/passwd/x", LOCKS, "/nowhere"):
            with self.subTest(target=target):
                self.container.root("systemctl", "stop", UNIT)
                self.container.root("rm", "-rf", LOCKS)
                self.assertEqual(self.container.run("bob", "ln", "-s", target, LOCKS).status, 0)
                warned = len(self.warnings())
                for _ in range(2):
                    self.up("alice")
                self.ok("alice", "down", "--all")
                self.assertEqual(len(self.warnings()), warned + 1, self.warnings())
                self.assertEqual(self.container.root("readlink", LOCKS).out.strip(), target)
        self.assertEqual(self.container.root("ls", "-A", "/etc").out, before)

    def test_taken_away(self):
        """If root removes the directory, the next lease makes it again, and the next start makes all its files."""
        self.up("alice", "--label", "first")
        self.container.root("rm", "-rf", LOCKS)
        (tap,) = self.up("alice")["taps"]
        self.assertEqual((self.facts(), self.files()), (f"1777 {USER} directory", [f"{tap['name']}.skip"]))
        self.container.root("systemctl", "restart", UNIT)
        names = [tap["name"] for lease in self.leases("alice") for tap in lease["taps"]]
        self.assertEqual(len(names), 2)
        self.assertEqual(sorted(self.files()), sorted(f"{name}.skip" for name in names))
        self.assertEqual(self.warnings(), [])

    def test_age(self):
        """tmpfiles' cleaning of /tmp by age spares the leases' files, however old, because of the package's line."""
        (tap,) = self.up("alice")["taps"]
        self.container.write(CLEANING, "d /tmp 1777 root root 1us\n")
        self.addCleanup(self.container.root, "rm", "-f", CLEANING, MASK)
        clean = ("systemd-tmpfiles", "--clean", "--prefix=/tmp")
        self.container.root("touch", "/tmp/old")
        self.container.root(*clean)
        self.assertNotIn("old", self.container.root("ls", "/tmp").out.split())
        self.assertEqual(self.files(), [f"{tap['name']}.skip"])
        self.container.root("ln", "-s", "/dev/null", MASK)
        self.container.root(*clean)
        self.assertEqual(self.container.root("find", LOCKS, "-type", "f", check=False).out, "")
