# SPDX-License-Identifier: MIT
"""Beside Yocto's runqemu, which takes any device named tap and a number. None of its starts takes a leased tap, no
lease blocks it, and a tap that its scripts delete ends as a lease. With OE_SCRIPTS, the folder `scripts` of
openembedded-core, the script's own code chooses; otherwise tests/bus/runqemu_choice.py does."""

import collections
import fcntl
import ipaddress
import json
import os
import random
import shutil
import struct
import subprocess

from tests.bus.ring import HERE, BusRing
from tests.lib import furnish, kernel, users
from tests.lib.bus import Variant
from tests.lib.host import SYSTEM_PATH
from tests.lib.process import until

LOCKS = furnish.RUNQEMU_LOCKS
SCRIPTS = f"{furnish.RIG}/oe-scripts"
# Stand-ins for the programs that runqemu calls. There is no sudo, so it cannot make devices.
PROGRAMS = f"{furnish.RIG}/oe-bin"
# Enters a mount namespace with an empty /tmp, where the script has its fixed lock directory, and becomes its user.
ENTER = f"""
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir /tmp/qemu-tap-locks
mount --bind {LOCKS} /tmp/qemu-tap-locks
user=$1
shift
exec setpriv --reuid=$user --regid=$user --clear-groups "$@"
"""
TUNSETIFF, TUNSETPERSIST, TUNSETOWNER = 0x400454CA, 0x400454CB, 0x400454CC
IFF_TAP_NO_PI = 0x1002
YOCTOS = ipaddress.ip_network("192.168.7.0/24")
ROUNDS = 200


def skips():
    """The names of the devices that runqemu skips."""
    return {file.removesuffix(".skip") for file in os.listdir(LOCKS) if file.endswith(".skip")}


def numbers(*indexes):
    return {f"tap{index}" for index in indexes}


def runqemu_ifup(user):
    """Makes a device with the lowest free name as runqemu-ifup does; returns the name."""
    with open("/dev/net/tun", "r+b", buffering=0) as tun:
        made = fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"tap%d", IFF_TAP_NO_PI))
        fcntl.ioctl(tun, TUNSETOWNER, users.USERS[user])
        fcntl.ioctl(tun, TUNSETPERSIST, 1)
    name = made[:16].split(b"\0")[0].decode()
    number = 2 * int(name[3:]) + 1
    kernel.ip("address", "add", f"192.168.7.{number}/32", "broadcast", "192.168.7.255", "dev", name)
    kernel.ip("link", "set", name, "up")
    kernel.ip("route", "add", f"192.168.7.{number + 1}", "dev", name)
    return name


def delete_taps():
    """The first step of runqemu-gen-tapdevs: deletes each device whose line has "tap", unless a program has it open."""
    shown = kernel.ip("-o", "link")
    for name in [line.split(":")[1].strip() for line in shown.splitlines() if "tap" in line]:
        subprocess.run(["ip", "tuntap", "del", "dev", name, "mode", "tap"], stderr=subprocess.DEVNULL, check=False)


class Runqemu:
    """The part of a user's runqemu that chooses a device."""

    def __init__(self, test, user):
        program = test.host.share(f"{HERE}/runqemu_choice.py")
        self.user = user
        self.popen = test.host.start("root", "unshare", "--mount", "--propagation", "private", "sh", "-ec", ENTER, "sh",
                                     str(users.USERS[user]), "env", f"PATH={PROGRAMS}", program, *test.scripts,
                                     stdin=subprocess.PIPE, stderr=None)
        test.addCleanup(test._end, self.popen)

    def ask(self, *words):
        self.popen.stdin.write(" ".join(words).encode() + b"\n")
        self.popen.stdin.flush()

    def answer(self):
        line = self.popen.stdout.readline()
        if not line:
            raise AssertionError(f"it ended with {self.popen.wait()}")
        return json.loads(line)

    def choose(self):
        self.ask("choose")
        return self.answer()

    def start(self):
        """A complete start: returns the device that it chose or had made."""
        return self.choose() or self.make()

    def make(self):
        name = runqemu_ifup(self.user)
        self.ask("lock", name)
        assert self.answer(), f"{self.user} can't lock the new {name}"
        return name

    def leave(self, name):
        self.ask("leave", name)
        self.answer()


class Beside(BusRing):
    # Without runqemu's subnet among those that a lease can have.
    options = ("--exclude", str(YOCTOS))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        shutil.rmtree(PROGRAMS, ignore_errors=True)
        os.makedirs(PROGRAMS)
        programs = {name: shutil.which(name, path=SYSTEM_PATH) for name in ("ip", "python3")}
        cls.scripts = ()
        if os.environ.get("OE_SCRIPTS"):
            shutil.copytree(os.environ["OE_SCRIPTS"], SCRIPTS, dirs_exist_ok=True)
            cls.scripts = (SCRIPTS,)
        # The script only checks that these exist.
        programs.update({name: shutil.which("true", path=SYSTEM_PATH) for name in ("runqemu-ifup", "runqemu-ifdown")})
        for name, program in programs.items():
            os.symlink(program, f"{PROGRAMS}/{name}")

    def setUp(self):
        shutil.rmtree(LOCKS, ignore_errors=True)
        # As the service's tmpfiles.d entry makes it.
        os.mkdir(LOCKS)
        os.chmod(LOCKS, 0o1777)
        super().setUp()

    def connect(self, user):
        bus = self.host.connect(user)
        self.addCleanup(bus.close)
        return bus

    def acquire(self, bus, count=1, **options):
        """Returns the lease, its names and its descriptors."""
        lease, taps, descriptors = self.call(bus, "Acquire", "ua{sv}", count, options)
        return lease, [tap["name"] for tap in taps], descriptors

    def complaints(self):
        return [line for line in self.host.daemon.log().splitlines() if not line.startswith("qemu-tapd: info: ")]


class Choice(Beside):
    def test_none_of_ours(self):
        """runqemu takes no tap of 3 leases each by descriptor, name and label; without .skip files it does (I2)."""
        for _ in range(3):
            self.run_stand_in("alice")
            self.up("alice")
            self.up("alice", "--label", f"web{len(kernel.ours())}")
        ours = set(kernel.ours())
        self.assertEqual(len(ours), 9)
        self.assertEqual(skips(), ours)
        for user in ("alice", "bob"):
            self.assertIsNone(Runqemu(self, user).choose())
        for name in skips():
            os.unlink(f"{LOCKS}/{name}.skip")
        self.assertIn(Runqemu(self, "alice").choose(), ours)
        self.assertEqual(self.complaints(), [])

    def test_its_own(self):
        """The service takes no tap that runqemu made, uses or left, and runqemu takes its own again (I2, I3)."""
        first = Runqemu(self, "bob")
        names = [first.start() for _ in range(9)]
        self.assertEqual(names, [f"tap{number}" for number in range(9)])
        self.host.mark()
        grant = self.up("alice", "--count", "3")
        self.assertEqual([tap["name"] for tap in grant["taps"]], ["tap9", "tap10", "tap11"])
        self.assertEqual(skips(), numbers(9, 10, 11))
        first.leave("tap5")
        self.assertEqual(Runqemu(self, "bob").start(), "tap5")
        self.ok("alice", "down", "--all")
        self.host.no_trace()
        self.assertEqual(skips(), set())

    def test_other_names(self):
        """Devices with names that runqemu does not look for get no .skip file."""
        self.host.restart_daemon("--device-prefix=vmtap")
        self.up("alice", "--count", "2")
        self.assertEqual(sorted(kernel.ours()), ["vmtap8", "vmtap9"])
        self.assertEqual(skips(), set())
        self.assertIsNone(Runqemu(self, "alice").choose())


class Interleaved(Beside):
    def setUp(self):
        super().setUp()
        self.dice = random.Random(20261123)
        self.counts = collections.Counter()
        self.bus = self.connect("alice")
        # alice's runqemu could open the leased taps. It cannot lock what another user has locked, and tries the next.
        self.others = [Runqemu(self, "alice"), Runqemu(self, "alice")]
        self.ours = {}  # lease: its names and descriptors
        self.theirs = {}  # name: the runqemu that uses it

    def begin_both(self):
        """Starts one lease and two runqemus at the same time."""
        hold, count = self.dice.choice(("fd", "name")), self.dice.randint(1, 3)
        options = {"hold": Variant("s", hold)}
        if self.dice.random() < 0.3:
            options["label"] = Variant("s", f"vm{self.dice.randrange(5)}")
        for other in self.others:
            other.ask("choose")
        lease, taps, descriptors = self.call(self.bus, "Acquire", "ua{sv}", count, options)
        self.ours[lease] = [tap["name"] for tap in taps], descriptors
        # runqemu locks a new device only after others can see it, so all choices must be over before one is made.
        chosen = [other.answer() for other in self.others]
        for other, name in zip(self.others, chosen):
            name = name or other.make()
            self.counts["taken by both"] += name in self.theirs or name in self.names()
            self.theirs[name] = other

    def names(self):
        return [name for names, _ in self.ours.values() for name in names]

    def judge(self):
        """Counts names given twice, addresses in a foreign subnet, and missing or wrong .skip files."""
        names = self.names()
        self.counts["names"] += len(names) - len(set(names)) + len(set(names) & set(self.theirs))
        networks = {name: ipaddress.ip_interface(address).network for name, address in kernel.addresses()
                    if name != "lo"}
        for name in names:
            self.counts["addresses"] += any(networks[name].overlaps(network) for other, network in networks.items()
                                            if other != name)
        self.counts["files"] += skips() != set(names)

    def end_some(self):
        for lease in self.dice.sample(sorted(self.ours), max(0, len(self.ours) - self.dice.randint(0, 4))):
            names, descriptors = self.ours.pop(lease)
            for descriptor in descriptors:
                os.close(descriptor)
            if not descriptors:
                self.call(self.bus, "Release", "s", lease)
            kernel.wait_for(kernel.absent(*names), "the taps of the lease end")
        # Half of the devices that it leaves are deleted, as by its ifdown; the others stay for its next start.
        for name in self.dice.sample(sorted(self.theirs), max(0, len(self.theirs) - self.dice.randint(0, 6))):
            self.theirs.pop(name).leave(name)
            if self.dice.random() < 0.5:
                kernel.ip("link", "delete", name)
        # After this answer the service has noticed the ended leases.
        self.call(self.bus, "List", "a{sv}", {})

    def test_rounds(self):
        """In 200 rounds of one lease beside two runqemu starts no name, address or .skip file collides (I2)."""
        given = 0
        for _ in range(ROUNDS):
            self.begin_both()
            self.judge()
            given += len(self.others)
            self.end_some()
        self.shows = f"{ROUNDS} rounds, {given} starts of runqemu, collisions: {dict(+self.counts)}"
        self.assertEqual(+self.counts, {})
        self.assertEqual(self.complaints(), [])


class Cleaned(Beside):
    def test_gen_tapdevs(self):
        """Deleting all unused taps ends their leases: not listed, logged, no .skip file; new leases are given."""
        lease, names, descriptors = self.acquire(self.connect("bob"), 2)
        self.addCleanup(lambda: [os.close(descriptor) for descriptor in descriptors])
        ended = [self.up("alice", "--count", "2"), self.up("alice", "--label", "web")]
        gone = [tap["name"] for grant in ended for tap in grant["taps"]]
        delete_taps()
        kernel.wait_for(kernel.absent(*gone), "they are deleted")
        self.assertEqual([grant["lease"] for grant in self.leases("root", "--all")], [lease])
        self.assertEqual(skips(), set(names))
        for name in gone:
            until(lambda: f'ended: "{name}" lease ' in self.host.daemon.log(), f"the end of {name} is in the log")
        again = self.up("alice", "--count", "2")
        self.assertEqual([tap["name"] for tap in again["taps"]], [tap["name"] for tap in ended[0]["taps"]])
        self.assertEqual(skips(), {*names, *(tap["name"] for tap in again["taps"])})
        self.assertIsNone(Runqemu(self, "alice").choose())

    def test_half_a_lease(self):
        """If a cleaner deletes one tap of a lease of three, its other devices and its files are removed."""
        self.up("alice", "--count", "3")
        kernel.ip("tuntap", "del", "dev", "tap9", "mode", "tap")
        kernel.wait_for(kernel.absent("tap8", "tap10"), "the rest of the lease is removed")
        self.assertEqual(self.leases("alice"), [])
        self.assertEqual(skips(), set())


class Restart(Beside):
    def test_stale_and_missing(self):
        """After SIGKILL the next start removes stale .skip files, makes missing ones and leaves foreign ones."""
        holder = self.run_stand_in("alice", "--count", "2")
        self.up("alice", "--count", "2")
        self.assertEqual(skips(), numbers(8, 9, 10, 11))
        self.host.daemon.kill()
        holder.kill()
        kernel.wait_for(kernel.absent("tap8", "tap9"), "the holder's taps end with it")
        self.assertEqual(skips(), numbers(8, 9, 10, 11))
        os.unlink(f"{LOCKS}/tap10.skip")
        open(f"{LOCKS}/tap50.skip", "wb").close()
        self.host.restart_daemon(*self.options)
        self.assertEqual(skips(), numbers(10, 11, 50))

    def test_end_leases(self):
        """--end-leases removes all of the service's .skip files, even stale ones, and leaves foreign ones."""
        self.up("alice", "--count", "2")
        self.host.daemon.kill()
        kernel.ip("link", "delete", "tap8")
        open(f"{LOCKS}/tap50.skip", "wb").close()
        done = self.host.run("root", *self.host.daemon_command("--end-leases"))
        self.assertEqual((done.status, done.err), (0, ""), done)
        self.assertEqual(skips(), numbers(50))
        self.assertEqual(list(kernel.ours()), [])

    def test_end_leases_for_good(self):
        """--end-leases removes the lock directory if it is empty; a running daemon makes it again when needed."""
        self.up("alice")
        self.host.run("root", *self.host.daemon_command("--end-leases"))
        self.assertFalse(os.path.exists(LOCKS))
        self.up("alice")
        self.assertEqual(skips(), numbers(8))
        self.assertEqual(self.complaints(), [])


class Hostile(Beside):
    """The lock directory's path is something else, or missing."""

    def in_trouble(self, words):
        """Expects that three leases are given and ended, and one log line names the problem."""
        for _ in range(3):
            self.up("alice", "--count", "2")
        self.ok("alice", "down", "--all")
        lines = self.complaints()
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith("qemu-tapd: warning: runqemu may take taps of ours: "), lines[0])
        self.assertIn(words, lines[0])

    def test_link(self):
        """If the lock directory's path is a user's link to a directory of root's, nothing is made there."""
        os.rmdir(LOCKS)
        os.symlink("/etc", LOCKS)
        self.addCleanup(os.unlink, LOCKS)
        before = sorted(os.listdir("/etc"))
        self.in_trouble(f"{LOCKS} is a link")
        self.assertEqual(sorted(os.listdir("/etc")), before)

    def test_users(self):
        """A lock directory that a user's runqemu made first is used, with a warning that names the user."""
        os.rmdir(LOCKS)
        os.mkdir(LOCKS)
        os.chmod(LOCKS, 0o777)
        os.chown(LOCKS, users.USERS["bob"], users.USERS["bob"])
        self.in_trouble(f"belongs to uid {users.USERS['bob']}")
        self.up("alice")
        self.assertEqual(skips(), numbers(8))

    def test_missing(self):
        """A missing lock directory is made: it belongs to the service, and every user can write to it."""
        os.rmdir(LOCKS)
        self.up("alice")
        facts = os.stat(LOCKS)
        self.assertEqual((facts.st_mode & 0o7777, facts.st_uid), (0o1777, users.SERVICE_ID))
        self.assertEqual(skips(), numbers(8))
        self.assertEqual(self.complaints(), [])
