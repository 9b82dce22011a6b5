# SPDX-License-Identifier: MIT
"""What the tests of the guest ring share: a fresh daemon for each test, QEMU started by an ordinary user with a lease
of either hold, and the lines of the guest's serial console, always read with a deadline."""

import json
import os
import re
import select
import shutil
import time
import unittest

from tests.lib import furnish, kernel, users
from tests.lib.host import Host

CACHE = os.path.join(os.environ.get("QEMU_TAPCTL_CACHE") or "/var/cache/qemu-tapctl", "guest")
BUILD_IMAGES = "tests/guest/images/build"
QEMU = "qemu-system-x86_64"
# The pnp kernel has its console built in and must show its IP-Config lines. Debian's kernel needs these words for it.
CONSOLE = {"pnp": "", "cloud": "console=ttyS0 quiet "}
ARM_CONSOLE = "console=ttyAMA0 quiet "
# For each image of another architecture: its QEMU, and the options without which its kernel does not boot there.
FOREIGN = {"arm64": ["qemu-system-aarch64", "-cpu", "cortex-a57"], "armhf": ["qemu-system-arm", "-cpu", "cortex-a15"]}
# Seconds. An emulated guest boots in 1 to 5 s, and takes longer on a busy machine. This is shorter than the runner's
# limit for a test, so that a test that waits in vain fails with a message of its own.
BOOT_LIMIT = 180
USER = "alice"

_shared = []


def shared_host():
    """Return the scratch host of this process. No test changes its bus or its polkitd."""
    if not _shared:
        _shared.append(Host())
    return _shared[0]


def demand_images_and_qemu(images):
    """Fail early if something is missing: the scratch host has no network to download it from."""
    for image in images:
        qemu, package = (FOREIGN[image][0], "arm") if image in FOREIGN else (QEMU, "x86")
        if not shutil.which(qemu):
            raise RuntimeError(f"{qemu} is not installed: apt-get install qemu-system-{package}")
        for file in ("vmlinuz", "initrd"):
            if not os.path.isfile(f"{CACHE}/{image}/{file}"):
                raise RuntimeError(f"{CACHE}/{image}/{file} is missing: run {BUILD_IMAGES}")


class Guest:
    """A running QEMU and all lines of its guest's console so far, each with its time since the start of QEMU."""

    def __init__(self, popen, started, errors):
        self.popen = popen
        self.started = started
        self.errors = errors
        self.lines = []
        self.pending = b""
        self.open = True

    def _read(self, timeout):
        """Read what the console delivers within the time; return False if that is nothing."""
        if not self.open or not select.select([self.popen.stdout], [], [], max(0, timeout))[0]:
            return False
        chunk = os.read(self.popen.stdout.fileno(), 65536)
        self.open = bool(chunk)
        *lines, self.pending = (self.pending + chunk).split(b"\n")
        for line in lines:
            self.lines.append((time.monotonic() - self.started, line.decode(errors="replace").rstrip("\r")))
        return True

    def catch_up(self):
        """Read all that the guest has written up to this moment."""
        while self._read(0):
            pass

    def has_said(self, pattern):
        self.catch_up()
        return any(re.search(pattern, line) for _, line in self.lines)

    def wait_for(self, pattern, limit=BOOT_LIMIT):
        """Return the seconds from QEMU's start to the first line that matches."""
        looked_at, deadline = 0, time.monotonic() + limit
        while True:
            for seconds, line in self.lines[looked_at:]:
                if re.search(pattern, line):
                    return seconds
            looked_at = len(self.lines)
            if not self._read(deadline - time.monotonic()):
                ended = f"within {limit} s" if self.open else "before its end"
                raise AssertionError(f"the guest did not write {pattern!r} {ended}")

    def end(self, limit=BOOT_LIMIT):
        """Wait until QEMU exits by itself; return its status."""
        deadline = time.monotonic() + limit
        while self._read(deadline - time.monotonic()):
            pass
        if self.open:
            raise AssertionError(f"the guest still runs after {limit} s")
        return self.popen.wait()

    def kill(self):
        """Kill this QEMU and wait for its end."""
        self.popen.kill()
        return self.popen.wait()

    def close(self):
        self.kill()
        self.catch_up()
        self.open = False
        self.popen.stdout.close()

    def complaints(self):
        """Return what QEMU and, before it, the client wrote to stderr."""
        with open(self.errors, encoding="utf-8", errors="replace") as file:
            return file.read()

    def story(self):
        """Return the report of the guest's init, line by line, without its uptime, which differs each time."""
        return [line for _, line in self.lines if line.startswith("GUEST-") and not line.startswith("GUEST-UPTIME")]

    def words(self):
        """Return the command line of the running QEMU."""
        with open(f"/proc/{self.popen.pid}/cmdline", "rb") as file:
            return file.read().decode().split("\0")[:-1]


class Nic:
    """What one NIC must be in the guest. A NIC without an address is the caller's own, or no `ip=` was read for it."""

    def __init__(self, mac, address=None, gateway=None):
        self.mac = mac
        self.address = address
        self.gateway = gateway


def nics_of(grant, image):
    """Return the NICs of a grant's taps in order. klibc reads every ip=, the kernel itself only the last one."""
    nics = []
    for position, tap in enumerate(grant["taps"]):
        read = image != "pnp" or position == 0
        nics.append(Nic(tap["mac"], f"{tap['client']}/{tap['prefix_length']}", tap["gateway"]) if read
                    else Nic(tap["mac"]))
    return nics


def expected_story(nics, queues=1, pings=3, primary=0):
    """Return the lines that a guest with these NICs must report: every NIC in its place with its MAC and address, one
    default route, through the primary NIC, and an answer to every ping of every gateway."""
    told = []
    for number, nic in enumerate(nics):
        route = "default-gateway" if number == primary else "no-gateway"
        told += [f"GUEST-NIC eth{number} {nic.mac} {nic.address or 'none'} {route}",
                 f"GUEST-QUEUES eth{number} {queues}"]
    told += [f"GUEST-ROUTE via {nics[primary].gateway} dev eth{primary}", "GUEST-PINGING"]
    told += [f"GUEST-PING eth{number} {nic.gateway} sent={pings} received={pings}"
             for number, nic in enumerate(nics) if nic.address]
    return [*told, "GUEST-DONE ok"]


class GuestRing(unittest.TestCase):
    """Each test starts with a fresh daemon and without any tap."""

    maxDiff = None
    images = tuple(CONSOLE)

    @classmethod
    def setUpClass(cls):
        demand_images_and_qemu(cls.images)
        cls.host = shared_host()
        cls.host.programs()

    def setUp(self):
        users.set_members(USER)
        self.host.sweep()
        furnish.place_tun()
        if not (self.host.bus and self.host.bus.alive()):
            self.host.start_bus()
        if not (self.host.polkit and self.host.polkit.alive()):
            self.host.start_polkit()
        self.log = f"{furnish.RIG}/daemon.log"
        open(self.log, "wb").close()
        self.guests = []
        self.addCleanup(self.clear)
        self.host.start_daemon()

    def clear(self):
        for guest in self.guests:
            guest.close()
        self.host.stop_daemon()
        self.host.sweep()

    def evidence(self):
        texts = []
        for number, guest in enumerate(self.guests):
            guest.catch_up()
            lines = "\n".join(f"{seconds:7.2f} {line}" for seconds, line in guest.lines)
            texts.append(f"guest {number} wrote:\n{lines}\nstderr of its QEMU:\n{guest.complaints()}")
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "\n".join([*texts, f"the daemon's log:\n{file.read()}"])

    # Programs

    def ok(self, *arguments):
        """Run the client, which must succeed with nothing on stderr; return its stdout."""
        done = self.host.ctl(USER, *arguments)
        self.assertEqual((done.status, done.err), (0, ""), f"qemu-tapctl {' '.join(map(str, arguments))}: {done}")
        return done.out

    def up(self, *arguments):
        return json.loads(self.ok("up", "--json", *arguments))

    def leases(self):
        return json.loads(self.ok("list", "--json"))

    def qemu(self, image, words="", processors=1):
        """Return a user's QEMU command whose -append lacks the ip= words, which the client adds."""
        kernel_file, initrd = (self.host.share(f"{CACHE}/{image}/{file}", f"{image}-{file}")
                               for file in ("vmlinuz", "initrd"))
        program, *cpu = FOREIGN.get(image, [QEMU])
        machine = "virt" if image in FOREIGN else "pc"
        command = [program, "-machine", f"{machine},accel=tcg", *cpu, "-m", "256", "-nodefaults", "-no-user-config",
                   "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", kernel_file, "-initrd", initrd]
        if processors > 1:
            command += ["-smp", f"{processors},sockets={processors}"]
        return [*command, "-append", f"{CONSOLE.get(image, ARM_CONSOLE)}{words}".strip()]

    def start(self, *argv, user=USER):
        """Start a program that is or becomes QEMU, as USER unless another user is given."""
        errors = f"{furnish.RIG}/guest-{len(self.guests)}.err"
        with open(errors, "wb") as file:
            started = time.monotonic()
            popen = self.host.start(user, *argv, stderr=file)
        guest = Guest(popen, started, errors)
        self.guests.append(guest)
        return guest

    def run_guest(self, options, command):
        """Start a guest with `run`; return it and its lease, which exists before QEMU starts."""
        before = {lease["lease"] for lease in self.leases()}
        there = len(kernel.ours())
        guest = self.start("qemu-tapctl", "run", *options, "--", *command)
        kernel.wait_for(lambda: len(kernel.ours()) > there or guest.popen.poll() is not None, "taps of the guest")
        # The daemon answers a whole Acquire before it handles List.
        (lease,) = [lease for lease in self.leases() if lease["lease"] not in before]
        self.assertEqual(lease["hold"], "fd")
        return guest, lease

    def start_with(self, grant, image, words="", **settings):
        """Start QEMU as a user does with the output of `up --json`."""
        command = self.qemu(image, f"{grant['kernel_cmdline']} {words}", **settings)
        return self.start(*command, *grant["qemu_args"])

    # What must be so after a test

    def assert_booted(self, guest, expected):
        """Require that the guest ended by itself and reported exactly this, with nothing on stderr."""
        status = guest.end()
        self.assertEqual(guest.story(), expected)
        self.assertEqual((status, guest.complaints()), (0, ""))

    def assert_gone(self):
        """Require that no tap, address or route is left; return how many seconds that took."""
        took = kernel.seconds_until(lambda: not kernel.differences(self.host.baseline, kernel.snapshot()))
        self.host.no_trace()
        return took
