# SPDX-License-Identifier: MIT
"""A deletion that the kernel does not finish (I6, I8), because a process is blocked in a write to the tap from memory
that never arrives. Others are served, the service can restart, and undeleted taps count against their owner."""

import os
import statistics
import time

import pytest

from tests.bus.ring import BusRing, error_name
from tests.lib.bus import BusError, Variant
from tests.lib.host import DAEMON_NAME
from tests.lib.process import HANGS, until
from tests.lib.stuck import NeverFilled

pytestmark = pytest.mark.alone

BY_DESCRIPTOR = {"hold": Variant("s", "fd")}
BY_NAME = {"hold": Variant("s", "name")}
# More stuck deletions than the daemon keeps deleting processes.
KEPT, STUCK = 3, 5
# The longest time of a request beside stuck deletions: in seconds, or as a multiple of the time without them, which the
# test measures. A service that waited for a stuck deletion would take for ever.
SERVED, FACTOR = 0.1, 10
DELETING = "qemu-tapd-del"


def processes(name):
    """The processes of this name: pid and parent."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                head, _, rest = file.read().rpartition(")")
        except OSError:
            continue
        if head.partition("(")[2] == name:
            found[int(pid)] = int(rest.split()[1])
    return found


class StuckDeletion(BusRing):
    options = (f"--max-taps-per-user={STUCK}",)

    def setUp(self):
        super().setUp()
        self.memory = NeverFilled()
        self.addCleanup(self.memory.close)
        self.started = 0

    def connect(self, user):
        bus = self.host.connect(user)
        self.addCleanup(bus.close)
        return bus

    def hang(self, bus, count):
        """Releases leases of one tap each while a process writes to their taps; returns the taps' names."""
        names = []
        for _ in range(count):
            lease, taps, descriptors = self.call(bus, "Acquire", "ua{sv}", 1, BY_DESCRIPTOR)
            self.started += 1
            writer = self.memory.writer(self.host, "alice", f"page{self.started}", *descriptors)
            self.addCleanup(self.let_end, writer)
            os.close(*descriptors)
            self.assertEqual(self.call(bus, "Release", "s", lease), [])
            names.append(taps[0]["name"])
        return names

    def let_end(self, writer):
        """Supplies the memory first: not even SIGKILL ends the writer before."""
        self.memory.fill()
        self._end(writer)

    def round(self, *buses):
        """The seconds that acquire, list and release take each caller."""
        for bus in buses:
            start = time.monotonic()
            lease = self.call(bus, "Acquire", "ua{sv}", 1, BY_NAME)[0]
            self.assertEqual([each["lease"] for each in self.call(bus, "List", "a{sv}", {})[0]], [lease])
            self.call(bus, "Release", "s", lease)
            yield time.monotonic() - start

    def median(self, *buses):
        return statistics.median(took for _ in range(10) for took in self.round(*buses))

    def refusal(self, bus, limit=HANGS):
        """Waits until a request gets LimitExceeded; returns the error's text."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            try:
                self.call(bus, "Release", "s", self.call(bus, "Acquire", "ua{sv}", 1, BY_NAME)[0])
            except BusError as error:
                self.assertEqual(error.name, error_name("LimitExceeded"))
                return str(error)
        raise AssertionError("the undeleted taps count against no limit")

    def serves(self):
        """Expects that this daemon owns the bus name, and that it gives and ends leases."""
        with self.host.connect() as bus:
            owner = bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus",
                             "org.freedesktop.DBus.GetConnectionUnixProcessID", "s", DAEMON_NAME)
            self.assertEqual(owner, [self.host.daemon.pid])
            return self.median(bus)

    def all_ends(self):
        """Supplies the memory, and expects that every deletion ends, whichever daemon began it."""
        self.memory.fill()
        until(lambda: set(processes(DELETING).values()) <= {self.host.daemon.pid}, "predecessors' deletions end")
        self.host.no_trace()

    def test_others_are_served(self):
        """Beside five taps that cannot be deleted others do not wait, and their owner is at its limit (I6, I8)."""
        alice, bob, root = self.connect("alice"), self.connect("bob"), self.connect("root")
        idle = self.median(bob, root)
        most = max(SERVED, FACTOR * idle)
        names = self.hang(alice, STUCK)
        during = self.median(bob, root)
        print(f"\nacquire, list and release: {idle * 1000:.1f} ms idle, {during * 1000:.1f} ms beside {STUCK} stuck "
              "deletions")
        self.assertLess(during, most)
        self.host.no_trace()
        text = self.refusal(alice)
        for word in ("uid 64101", f"{STUCK} taps undeleted", f"may hold {STUCK}"):
            self.assertIn(word, text)
        self.assertLess(self.median(bob, root), most)
        self.assertEqual(len(names), STUCK)
        self.assertGreaterEqual(len(processes(DELETING)), STUCK)
        self.all_ends()
        until(lambda: len(processes(DELETING)) == KEPT, "all but a few waiting processes end and are reaped")
        # Indexes that another user just had are given last.
        grant = self.up("alice", "--count", str(STUCK))
        self.assert_grant(grant, "alice", [tap["index"] for tap in grant["taps"]])

    def test_limit_in_all(self):
        """Undeleted taps count against the limit of all users together (I8)."""
        self.host.restart_daemon(*self.options, f"--max-taps={STUCK}")
        self.hang(self.connect("alice"), STUCK)
        text = self.refusal(self.connect("bob"))
        for word in ("all users", f"{STUCK} taps undeleted"):
            self.assertIn(word, text)

    def test_restart(self):
        """SIGKILL or SIGTERM ends a daemon with stuck deletions; its successor gets the name and serves (I1, I6)."""
        alice = self.connect("alice")
        for end in ("kill", "terminate"):
            self.hang(alice, STUCK)
            stuck, daemon = processes(DELETING), self.host.daemon
            self.assertGreaterEqual(list(stuck.values()).count(daemon.pid), STUCK)
            start = time.monotonic()
            getattr(daemon, end)()
            with self.host.connect() as bus:
                bus.wait_for_owner(DAEMON_NAME, present=False)
            self.host.start_daemon(*self.options)
            print(f"\n{end}: a successor is ready after {(time.monotonic() - start) * 1000:.0f} ms")
            self.serves()
            self.assertFalse(os.path.exists(f"/proc/{daemon.pid}"))
        self.all_ends()
        self.serves()

    def test_what_they_hold(self):
        """A deleting process has two sockets and no other descriptor, ends with the daemon and obeys signals (I8)."""
        until(lambda: len(processes(DELETING)) == KEPT, "the daemon starts its deleting processes")
        lanes = processes(DELETING)
        self.assertEqual(set(lanes.values()), {self.host.daemon.pid})
        self.ok("alice", "down", self.up("alice")["lease"])
        for pid in lanes:
            folder = f"/proc/{pid}/fd"
            kinds = [os.readlink(f"{folder}/{number}").partition(":")[0] for number in os.listdir(folder)]
            self.assertLessEqual(len(kinds), 2)
            self.assertEqual(set(kinds), {"socket"})
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                facts = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            self.assertEqual([int(facts[key], 16) for key in ("SigBlk", "SigIgn", "SigCgt")], [0, 0, 0])
        self.host.daemon.kill()
        until(lambda: not processes(DELETING), "idle deleting processes end with their daemon")
