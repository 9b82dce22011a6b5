# SPDX-License-Identifier: MIT
"""Point 4: a root process renames, deletes, re-creates, re-tags, regroups, enslaves, addresses and moves away the
daemon's taps, next to foreign devices with forged tags. The daemon must follow: it lists what the kernel has, it ends
leases that are no longer whole, and it leaves foreign devices alone (I3). lease_model and meddler derive from kernel
dumps and from the contract what that means in each case."""

import os
import random
import socket
import statistics
import time
import unittest
from collections import Counter

from tests.faults import lease_model
from tests.faults import rtnetlink
from tests.faults.faults import FaultsRing, error_name, rounds
from tests.faults.meddler import Meddler
from tests.lib import kernel
from tests.lib.bus import BusError
from tests.lib.host import DAEMON_NAME
from tests.lib.process import HANGS
from tests.lib.wire import Variant

# Seconds within which the daemon must follow a change, in the median of all sequences: a busy machine may delay some.
LIMIT = 1
CALLERS = ("root", "alice", "bob")
BRIDGE_MAC = "02:00:00:00:00:07"


class Unsettled(Exception):
    """A sequence of changes ended in a wrong state."""


def seconds_until(condition, limit):
    """Poll like kernel.seconds_until(), but without its events: the kernel announces no change of most settings."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() > start + limit:
            return None
        time.sleep(0.01)
    return time.monotonic() - start


class ForeignChanges(FaultsRing):
    def setUp(self):
        super().setUp()
        self.seed = random.SystemRandom().randrange(10**6)
        self.chance = random.Random(self.seed)
        self.meddler = Meddler(f"meddler {self.seed}")
        self.addCleanup(self.meddler.close)
        self.callers = {user: self.host.connect(user) for user in CALLERS}
        for bus in self.callers.values():
            self.addCleanup(bus.close)
        self.held = {}  # lease: (ifindexes of its taps, descriptors)
        self.addCleanup(self.let_go_all)
        self.counted, self.took = Counter(), []
        self.place_foreign()

    def place_foreign(self):
        """Make the foreign devices of all sequences: two taps, one in the daemon's group, a tun and a bridge."""
        net = self.meddler.net
        self.foreign = [rtnetlink.add_tun("mine0"), rtnetlink.add_tun("mine1"),
                        rtnetlink.add_tun("mine2", rtnetlink.IFF_TUN)]
        net.add_bridge("bridge0", BRIDGE_MAC)
        self.meddler.bridge = socket.if_nametoindex("bridge0")
        self.foreign.append(self.meddler.bridge)
        net.change(self.foreign[0], group=lease_model.LIVE_GROUP)
        net.change(self.foreign[0], up=True)
        net.change(self.foreign[1], up=True)
        self.meddler.adopt(*self.meddler.look())
        self.host.mark()

    # The leases

    def give(self):
        """Acquire a lease of one to three taps for one of the callers."""
        bus = self.callers[self.chance.choice(CALLERS)]
        options = {"hold": Variant("s", self.chance.choice(("fd", "name")))}
        if self.chance.random() < 0.3:
            options["label"] = Variant("s", f"vm{self.counted['leases']}")
        if self.chance.random() < 0.2:
            options["queues"] = Variant("u", 2)
        lease, taps, descriptors = self.call(bus, "Acquire", "ua{sv}", self.chance.randint(1, 3), options)
        ifindexes = [socket.if_nametoindex(tap["name"]) for tap in taps]
        for ifindex in ifindexes:
            self.meddler.given(ifindex)
        self.held[lease] = ifindexes, descriptors
        self.counted["leases"] += 1

    def let_go(self, lease):
        ifindexes, descriptors = self.held.pop(lease)
        for descriptor in descriptors:
            os.close(descriptor)
        if descriptors:
            self.meddler.let_go(ifindexes)

    def let_go_all(self):
        for lease in list(self.held):
            self.let_go(lease)

    def release(self, lease):
        """Release a lease. NoSuchLease is a right answer only if the lease may have ended already."""
        places = lease_model.claims(self.meddler.links)[lease]
        taps = {ifindex for ifindexes in places.values() for ifindex in ifindexes}
        may_be_gone = bool(taps & self.meddler.risky)
        self.meddler.changes.append(f"release {lease}")
        self.meddler.risky |= taps
        try:
            self.call(self.callers["root"], "Release", "s", lease)
        except BusError as error:
            if error.name != error_name("NoSuchLease") or not may_be_gone:
                raise Unsettled([f"release of {lease}: {error}"]) from error
            return
        left = [self.meddler.links[ifindex].name for ifindexes in places.values() for ifindex in ifindexes
                if len(ifindexes) == 1 and self.meddler.net.link(ifindex)]
        if left:
            raise Unsettled([f"released, but there: {lease} {left}"])

    # What must be so after the changes

    def listed(self):
        (entries,) = self.call(self.callers["root"], "List", "a{sv}", {"all": Variant("b", True)})
        return entries

    def settle(self):
        """Wait until the daemon, without a call, has deleted what must go, and then until its list is the kernel's.
        One case needs a call: a foreign tap got a valid tag while it was down. The kernel does not announce that, so
        the daemon notices only when it next looks at all links, as at a call."""
        problems, seen = [], []
        if self.meddler.unheard:
            self.listed()
            self.meddler.unheard = False
            self.counted["looks begun by a call"] += 1

        def at_peace():
            seen[:] = self.meddler.look()
            problems[:] = self.meddler.differences(*seen) + lease_model.unrest(seen[0]) + \
                self.meddler.unsettled(seen[0])
            return not problems

        def agrees():
            if at_peace():
                problems[:] = lease_model.disagreements(self.listed(), *seen)
            return not problems
        took = seconds_until(at_peace, HANGS)
        if took is not None:
            more = seconds_until(agrees, HANGS)
            took = None if more is None else took + more
        if took is None:
            raise Unsettled(problems)
        self.counted["looks"] += 1
        self.took.append(took)
        self.counted["taps that had to end"] += len(self.meddler.links.keys() - seen[0].keys())
        self.meddler.adopt(*seen)

    def step(self):
        chance = self.chance.random()
        leases = sorted(lease_model.claims(self.meddler.links))
        if chance < 0.15:
            self.meddler.attempt("forge", self.chance.choice(self.foreign[1:]))
        elif chance < 0.20 and leases:
            self.release(self.chance.choice(leases))
        elif chance < 0.25 and self.held:
            self.let_go(self.chance.choice(sorted(self.held)))
        else:
            self.meddler.meddle()
        self.counted["changes"] += 1

    def sequence(self):
        """Acquire leases, make changes with a look now and then, look again, and release what is left."""
        for _ in range(self.chance.randint(1, 3)):
            self.give()
        for _ in range(self.chance.randint(4, 14)):
            self.step()
            if self.chance.random() < 0.2:
                self.settle()
        self.settle()
        for lease in sorted(lease_model.claims(self.meddler.links)):
            self.release(lease)
        self.settle()

    def clear_up(self, orderly):
        """Remove everything of a sequence, so that it cannot affect the next one."""
        self.let_go_all()
        self.meddler.forget()
        if not orderly:
            kernel.seconds_until(lambda: not kernel.ours(), 5)
            self.meddler.adopt(*self.meddler.look())

    def owner(self):
        return self.callers["root"].owner_of(DAEMON_NAME)

    def test_foreign_changes(self):
        """Point 4: root changes the daemon's taps among forged tags: followed, nothing foreign touched (I3)."""
        owner, failed = self.owner(), []
        sequences = rounds(50, 500)
        for number in range(sequences):
            try:
                self.sequence()
                self.clear_up(orderly=True)
            except Unsettled as unsettled:
                failed.append((number, unsettled.args[0], self.meddler.changes))
                self.clear_up(orderly=False)
                if not self.meddler.links.keys() >= set(self.foreign):
                    break  # the next sequences need the foreign devices
        for ifindex in self.meddler.links.keys() & self.foreign:
            self.meddler.tag(ifindex, "")
        lines = [line for _, problems, _ in failed for line in problems]
        traces = kernel.differences(self.host.baseline, kernel.snapshot())
        restarts = int(not self.host.daemon.alive() or self.owner() != owner)
        self.show(seed=self.seed, sequences=number + 1, **self.counted, median_ms=round(1000 * statistics.median(self.took)),
                  longest_ms=round(1000 * max(self.took)),
                  sequences_not_followed=len(failed),
                  foreign_changed_or_deleted=sum(line.startswith("foreign ") for line in lines),
                  daemon_restarts=restarts, traces=len(traces))
        self.assertEqual(failed, [], "\n".join(f"sequence {number}: {problems}\n  after {changes}"
                                               for number, problems, changes in failed[:5]))
        self.assertEqual((traces, restarts), ([], 0))
        self.assertLess(statistics.median(self.took), LIMIT)
        self.assertGreater(min(self.counted["looks"], self.counted["taps that had to end"]), sequences // 2)


LEASE = "0123456789abcdef"


def tag(position=0, count=1, ifindex=7, hold="name", **other):
    words = {"lease": LEASE, "index": 7, "uid": 0, "mac": "52:54:00:00:00:07", "queues": 1, "vhost": 0, "idle": 0,
             "label": "", **other}
    return lease_model.Tag(position=position, count=count, ifindex=ifindex, hold=hold, **words)


def link(of, ifindex=7, **other):
    return rtnetlink.Link(ifindex, f"tap{ifindex}", True, False, of.text(), lease_model.LIVE_GROUP, "", 0, "tun", True,
                          0, of.hold == "name")._replace(**other)


def entry(*taps, **other):
    return {"lease": LEASE, "label": "", "uid": 0, "hold": "name", "idle-timeout": 0, "attended": False,
            "taps": list(taps), **other}


def listed_tap(**other):
    return {"name": "tap7", "index": 7, "mac": "52:54:00:00:00:07", "queues": 1, "vhost": False,
            "gateway": "192.168.7.1", "client": "192.168.7.2", "prefix-length": 24, **other}


class Law(unittest.TestCase):
    """The model must know which taps are the daemon's and which must go, and find each planted difference."""

    def ours(self, *links):
        return lease_model.claims({each.ifindex: each for each in links})

    def unrest(self, *links):
        return len(lease_model.unrest({each.ifindex: each for each in links}))

    def test_ours(self):
        """The model counts as the daemon's only a tap with a valid tag that names the tap itself (I3)."""
        flawless = tag()
        self.assertEqual(self.ours(link(flawless)), {LEASE: {0: [7]}})
        for changed in ({"ifindex": 8}, {"tap": False}, {"alias": ""}, {"alias": flawless.text() + " "},
                        {"alias": flawless.text().replace(" q=1", " q=01")}, {"alias": tag(1, 1).text()},
                        {"alias": tag(queues=17).text()}, {"alias": tag(label="-x").text()}):
            with self.subTest(changed=changed):
                self.assertEqual(self.ours(link(flawless)._replace(**changed)), {})

    def test_must_go(self):
        """The model keeps whole leases, and ends those that lack a tap, are half deleted or have no holder (I1, I6)."""
        pair = link(tag(0, 2)), link(tag(1, 2, ifindex=8), ifindex=8)
        self.assertEqual((self.unrest(link(tag())), self.unrest(*pair)), (0, 0))
        self.assertEqual((self.unrest(pair[0]), self.unrest(pair[1])), (1, 1))
        self.assertEqual(self.unrest(link(tag(1, 2, hold="fd"))), 0)
        self.assertEqual(self.unrest(link(tag(hold="fd"), persistent=True)), 1)
        self.assertEqual(self.unrest(link(tag(), up=False)), 0)
        self.assertEqual(self.unrest(link(tag(), up=False, group=9)), 1)
        rival = link(tag(1, 2, ifindex=9), ifindex=9)
        self.assertEqual((self.unrest(*pair, rival), self.unrest(pair[1], rival)), (0, 1))

    def test_disagreements(self):
        """The model finds a list that shows too much, too little or something wrong."""
        links, addresses = {7: link(tag())}, {7: {"192.168.7.1/24", "192.168.9.9/32"}}
        right = entry(listed_tap())
        self.assertEqual(lease_model.disagreements([right], links, addresses), [])
        bare = entry(listed_tap(**{"gateway": "", "client": "", "prefix-length": 0}))
        self.assertEqual(lease_model.disagreements([bare], links, {}), [])
        wrong = [[], [right, right], [bare], [entry(listed_tap(), lease="f" * 16)], [entry(listed_tap(), uid=1)],
                 [entry(listed_tap(), label="x")], [entry(listed_tap(), hold="fd")], [entry()],
                 [entry(listed_tap(), attended=True)], [entry(listed_tap(), listed_tap())],
                 [entry(listed_tap(name="tap8"))], [entry(listed_tap(index=8))],
                 [entry(listed_tap(gateway="192.168.9.9", client="192.168.9.10", **{"prefix-length": 32}))]]
        for entries in wrong:
            with self.subTest(entries=entries):
                self.assertEqual(len(lease_model.disagreements(entries, links, addresses)) > 0, True)
