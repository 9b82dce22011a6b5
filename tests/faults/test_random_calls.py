# SPDX-License-Identifier: MIT
"""A user without any rights makes random calls on the real bus (I7, I8): to every member of every interface that the
bus lets through, and to members that do not exist, with right and wrong signatures and values of any type and size. The
daemon answers each call, and the calls have no effect: no lease, no line in the log, no growth."""

import collections
import secrets
import statistics

import pytest

from tests.bus.ring import MANAGER, error_name
from tests.faults.dice import HUGE, LARGEST_TEXT, METHODS, MOST_OPTIONS, Dice
from tests.faults.faults import FaultsRing, close_all, resident_kib, rounds  # first: it says where ring is
from tests.lib import kernel
from tests.lib.bus import BUS, ERROR
from tests.lib.wire import Variant

pytestmark = pytest.mark.alone

# The bus allows one connection 128 unanswered calls.
WINDOW = 96
NO_REPLY_EXPECTED = 1  # D-Bus Specification, "Message Format"
ONE_MIB = 1024
PARTS = 10
# A leak grows with each part. The heap reaches its full size in a few jumps, whenever the largest calls happen to come
# together. Calls with thousands of options do not count, because the daemon refuses them unread.
MOST_OF_A_PART = ONE_MIB // 16
MOST = 3 * ONE_MIB


class Volley:
    """Calls of one connection, many of them in flight at a time, and the outcome of each."""

    def __init__(self, bus, dice):
        self.bus = bus
        self.dice = dice
        self.counts = collections.Counter()
        self.waiting = set()
        self.silence = False

    def fire(self, per_method):
        for _ in range(per_method):
            for method in METHODS:
                self.send(*self.dice.call(method))
                if len(self.waiting) >= WINDOW:
                    self.hear(WINDOW // 2)
            if self.silence:
                return
        self.hear(0)

    def send(self, path, member, signature, arguments):
        flags = NO_REPLY_EXPECTED if self.dice.one_in(20) else 0
        serial = self.bus.send(MANAGER[0], path, member, signature, *arguments, flags=flags)
        self.counts["calls"] += 1
        if flags:
            self.counts["no answer wanted"] += 1
        else:
            self.waiting.add(serial)

    def hear(self, most):
        """Receive answers until at most so many are missing."""
        while len(self.waiting) > most:
            try:
                message = self.bus.next()
            except TimeoutError:
                self.silence = True
                return
            if message.reply_to in self.waiting:
                self.waiting.remove(message.reply_to)
                self.counts[message.error_name if message.kind == ERROR else "a value"] += 1
            elif message.sender != BUS[0]:  # the bus answers calls that it refuses, even those that want no answer
                self.counts["unasked"] += 1

    def resident_kib(self, pid):
        """Return the resident memory after calls larger than any random one, which alone then determine the heap."""
        for _ in range(WINDOW // 8):
            self.send(MANAGER[1], f"{MANAGER[2]}.Release", "s", ["x" * 2 * LARGEST_TEXT])
            self.send(MANAGER[1], f"{MANAGER[2]}.Acquire", "ua{sv}", [1, self.dice.many_options(3 * MOST_OPTIONS)])
        self.hear(0)
        return resident_kib(pid)

    def warm_up(self, pid):
        """Send calls with many more huge values than later, until the heap no longer grows by any coincidence of them.
        Memory that leaks does not stop growing, and shows after the last attempt too."""
        self.dice.huge = HUGE // 20
        resident = [self.resident_kib(pid)]
        while len(resident) < 24 and (len(resident) < 4 or resident[-1] > resident[-3] + ONE_MIB // 16):
            self.fire(150)
            resident.append(self.resident_kib(pid))
        self.dice.huge = HUGE
        self.counts.clear()
        return resident[-1]

    def growths(self, pid, per_method):
        """Return by how many KiB the daemon's memory grew with each of ten equal parts of the calls."""
        before, grown = self.warm_up(pid), []
        for _ in range(PARTS):
            self.fire(per_method // PARTS)
            if self.silence:
                break
            counts = self.counts.copy()
            now = self.resident_kib(pid)
            self.counts = counts
            grown.append(now - before)
            before = now
        return grown


class RandomCalls(FaultsRing):
    options = None

    def setUp(self):
        super().setUp()
        # Let malloc keep all that is freed: how much it could return to the kernel depends on chance.
        tunables = "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=1073741824"
        self.host.start_daemon(environment={"GLIBC_TUNABLES": tunables})
        self.owner = self.connect("alice")
        grants = [self.call(self.owner, "Acquire", "ua{sv}", 2, {"hold": Variant("s", hold)})
                  for hold in ("name", "fd")]
        self.addCleanup(close_all, [descriptor for _, _, descriptors in grants for descriptor in descriptors])
        self.leases = [lease for lease, _, _ in grants]

    def state(self):
        """Return all that a caller could have changed: what the kernel has, and what the log says."""
        return {**kernel.snapshot(), "lines": self.host.daemon.log().splitlines()}

    def listed(self):
        return self.call(self.owner, "List", "a{sv}", {})[0]

    def test_random_calls(self):
        """Point 8: random calls of a user without rights are all answered; nothing restarts, changes or grows (I8)."""
        per_method, seed = rounds(1500, 100_000), secrets.randbits(32)
        before, listed, daemon = self.state(), self.listed(), self.host.daemon
        volley = Volley(self.connect("dave"), Dice(seed, self.leases))
        grown = volley.growths(daemon.pid, per_method)
        counts, alive = volley.counts.copy(), daemon.alive()
        changed = kernel.differences(before, self.state())
        errors = sum(number for name, number in counts.items() if name.startswith("org."))
        by_polkit = counts[error_name("NotAuthorized")]
        self.show(methods=len(METHODS), calls=counts["calls"], answered_by_a_value=counts["a value"],
                  by_an_error=errors, of_these_by_polkit=by_polkit, wanting_no_answer=counts["no answer wanted"],
                  unanswered=len(volley.waiting), answered_unasked=counts["unasked"], restarts=int(not alive),
                  changes_of_state=len(changed), KiB_grown_by_part=" ".join(map(str, grown)), seed=seed)
        self.assertTrue(alive)
        self.assertEqual((counts["calls"], len(volley.waiting), counts["unasked"]), (per_method * len(METHODS), 0, 0))
        self.assertEqual(changed, [])
        self.assertEqual(self.listed(), listed)
        self.assertLess(statistics.median(grown), MOST_OF_A_PART)
        self.assertLess(sum(grown), MOST)
        self.assertGreater(by_polkit, 0, "no call was correct enough to reach polkit")
