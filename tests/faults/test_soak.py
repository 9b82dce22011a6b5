# SPDX-License-Identifier: MIT
"""Many leases, one after the other (I8). The daemon and the kernel give back what a lease costs, whether it ends by
Release or with its descriptors. So after very many leases everything is as it was after some."""
import collections
import contextlib
import itertools
import os
import re
import select
import time

import pytest

from tests.bus.ring import error_name
from tests.faults.faults import FaultsRing, close_all, descriptors_at_rest, resident_kib, rounds  # first: it says where ring is
from tests.lib.bus import BusError
from tests.lib.process import until
from tests.lib.wire import Variant

pytestmark = pytest.mark.alone

# How many leases each connection of a user has at a time. Most are root's, which need no polkit, because polkit would
# take most of the time. The other users' leases still exercise polkit's part.
CALLERS = {"root": 28, "alice": 2, "bob": 2}
CONNECTIONS = 4
# How a lease is held, how many taps it has, and whether Release or closing its last descriptor ends it.
WAYS = [("name", 1, "Release"), ("fd", 1, "Release"), ("name", 2, "Release"), ("fd", 2, "close"),
        ("name", 1, "Release"), ("fd", 1, "close")]
MOST_KIB = 1024
LIMIT = 60
# The kernel's caches are shared by the whole machine, and other programs change them by a few devices' worth. If each
# tap leaked a device, that would be two thousand in a short run and more than a hundred thousand in a full one.
MOST_DEVICES = 100
GIVEN = re.compile(r"qemu-tapd: info: given: lease (\w{16}) uid \d+ hold \w+ label \"\" taps (\S+)")
ENDED = re.compile(r'qemu-tapd: info: ended: "(\w+)" lease (\w{16}) uid \d+ label ""')
Usage = collections.namedtuple("Usage", "resident descriptors links slab")


def slab():
    """Return (objects in use, size of one object) for each cache of the kernel."""
    with open("/proc/slabinfo", encoding="ascii") as file:
        rows = [line.split() for line in file.read().splitlines()[2:]]
    return {row[0]: (int(row[1]), int(row[3])) for row in rows}


class Soak(FaultsRing):
    options = ("--max-taps-per-user=248",)
    members = ("alice", "bob")

    def setUp(self):
        super().setUp()
        self.connections = [(self.connect(user), share) for user, share in CALLERS.items() for _ in range(CONNECTIONS)]
        self.refusals = 0
        self.ways = itertools.cycle(WAYS)
        # The name and the lease of each tap so far, and how many leases of the present cycle are held in each way.
        self.taps, self.holds = [], collections.Counter()

    def answer(self, call, serial):
        """Return the answer to a call (connection, member, ...). Repeat a call that polkit refused after a timeout."""
        try:
            return call[0].reply(serial)
        except BusError as error:
            if error.name != error_name("NotAuthorized"):
                raise
            self.refusals += 1
            return self.call(*call)

    def send_all(self, calls):
        return [(call, self.send(*call)) for call in calls]

    @staticmethod
    def as_answered(asked):
        """Yield the pairs of a plan and its call in the order of their answers. A caller that received them in the
        order of its calls could leave so many answers unread that the daemon would withhold those it waits for."""
        waiting = {(call[0], serial): (plan, (call, serial)) for plan, (call, serial) in asked}
        while waiting:
            answered = []
            for bus in {bus for bus, _ in waiting}:
                serials = {serial for other, serial in waiting if other is bus}
                try:
                    message = bus.next(lambda message, serials=serials: message.reply_to in serials, timeout=0)
                except TimeoutError:
                    continue
                bus.waiting.append(message)
                answered.append((bus, message.reply_to))
            yield from map(waiting.pop, answered)
            if not answered and not select.select([bus.socket for bus, _ in waiting], [], [], LIMIT)[0]:
                raise TimeoutError(f"no answer within {LIMIT} s")

    def begin(self):
        """Acquire on all connections at once; return (connection, lease, how it is to end, descriptors) for each."""
        plans = [(bus, *way) for bus, share in self.connections for way in itertools.islice(self.ways, share)]
        sent = self.send_all((bus, "Acquire", "ua{sv}", count, {"hold": Variant("s", hold)})
                             for bus, hold, count, _ in plans)
        held = []
        for (bus, hold, _, end), call in self.as_answered(zip(plans, sent)):
            lease, taps, descriptors = self.answer(*call)
            self.taps += [(tap["name"], lease) for tap in taps]
            self.holds[hold] += 1
            held.append((bus, lease, end, descriptors))
        return held

    def end(self, held):
        """End all leases so that the daemon deletes their taps in one turn: the kernel takes 16 ms to delete one tap,
        and hardly longer to delete many."""
        released, closed = ([entry for entry in held if entry[2] == end] for end in ("Release", "close"))
        sent = self.send_all((bus, "Release", "s", lease) for bus, lease, _, _ in released)
        close_all(descriptor for entry in closed for descriptor in entry[3])
        for call in sent:
            self.assertEqual(self.answer(*call), [])
        close_all(descriptor for entry in released for descriptor in entry[3])

    def cycle(self, count):
        """Acquire and end at least so many leases."""
        self.holds.clear()
        while self.holds.total() < count:
            self.end(self.begin())
        until(lambda: not self.links(), "the devices are gone")

    @staticmethod
    def links():
        return [name for name in os.listdir("/sys/class/net") if name != "lo"]

    def cost_of_a_device(self):
        """Return the kernel's caches that hold something for each device, and the bytes that one device costs in all of
        them: the caches that grow while many devices exist and shrink when those are gone. The caches of files that
        programs looked at (dentries, inodes) are not among them: they grow with every program that runs."""
        before, held = slab(), self.begin()
        during, devices = slab(), len(self.links())
        self.end(held)

        def costs():
            after, found = slab(), {}
            for name, (count, size) in during.items():
                more = count - before.get(name, (0, 0))[0]
                if more >= devices and count - after[name][0] > more / 2:
                    found[name] = more / devices * size
            return found

        until(lambda: len(costs()) > 3, "the kernel gives back what the devices took: four of its caches, or more")
        found = costs()
        return list(found), sum(found.values())

    def usage(self, caches):
        pid, now = self.host.daemon.pid, slab()
        return Usage(resident_kib(pid), descriptors_at_rest(pid), len(self.links()),
                     sum(now[name][0] * now[name][1] for name in caches))

    def wrong_lines(self):
        """Return how many lines of the log are missing or unexpected. After the first line, one `given` line is
        expected for each lease and one `ended` line for each tap."""
        given, ended, others = collections.Counter(), collections.Counter(), 0
        for line in self.host.daemon.log().splitlines()[1:]:
            if match := GIVEN.fullmatch(line):
                given.update((tap.split("=")[0], match[1]) for tap in match[2].split(","))
            elif match := ENDED.fullmatch(line):
                ended[match[1], match[2]] += 1
            else:
                others += 1
        expected = collections.Counter(self.taps)
        return others + sum(((found - expected) + (expected - found)).total() for found in (given, ended))

    def test_soak(self):
        """Point 10: acquire-release cycles leave memory, descriptors, links and slab flat and the log exact (I8)."""
        self.cycle(rounds(256, 4000))
        caches, cost = self.cost_of_a_device()
        before = self.usage(caches)
        start, taps_before = time.monotonic(), len(self.taps)
        self.cycle(rounds(1500, 100_000))
        seconds = time.monotonic() - start
        # The kernel frees memory after a grace period, and the daemon writes its last lines after its last answers.
        with contextlib.suppress(AssertionError):
            until(lambda: self.usage(caches).slab - before.slab < MOST_DEVICES * cost and not self.wrong_lines(),
                  "all memory is given back and logged")
        after, wrong = self.usage(caches), self.wrong_lines()
        devices = (after.slab - before.slab) / cost
        leases = self.holds.total()
        self.show(leases=leases, by_name=self.holds["name"], by_descriptors=self.holds["fd"],
                  taps=len(self.taps) - taps_before, leases_per_second=round(leases / seconds),
                  resident_KiB=f"{before.resident} then {after.resident}",
                  descriptors=f"{before.descriptors} then {after.descriptors}",
                  links=f"{before.links} then {after.links}",
                  slab_KiB=f"{before.slab // 1024} then {after.slab // 1024}",
                  slab_growth_in_devices=f"{devices:+.1f}", caches_watched=len(caches),
                  KiB_of_one_device=f"{cost / 1024:.0f}", wrong_log_lines=wrong, refused_by_polkit=self.refusals)
        self.assertEqual((after.links, wrong), (0, 0))
        self.assertLessEqual(self.refusals, rounds(2, 20))
        self.assertEqual(after.descriptors, before.descriptors)
        self.assertLess(after.resident - before.resident, MOST_KIB)
        self.assertLess(devices, MOST_DEVICES)
        self.host.no_trace()
