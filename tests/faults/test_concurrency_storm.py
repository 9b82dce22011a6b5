# SPDX-License-Identifier: MIT
"""Point 3: many processes acquire and give back leases of mixed holds, counts, queues, labels and users, while another
one makes and deletes taps named tap%d and tapN, alternative names, addresses and routes in the same pool (I2, I3). Each
process records what it did and when. storm_judge.py looks for collisions in the records afterwards."""

import json
import random
import subprocess
import sys
import unittest
from collections import Counter

import pytest

from tests.faults import storm_judge
from tests.faults.faults import FaultsRing, rounds
from tests.lib import kernel
from tests.lib.host import DAEMON_NAME

pytestmark = pytest.mark.alone

CLIENTS = 64
CALLERS = ("root", "alice", "bob", "carol", "dave")


class Program:
    """A program of the storm. It prints when it is ready, and at the end what it did."""

    def __init__(self, name, *arguments):
        self.popen = subprocess.Popen([sys.executable, "-m", f"tests.faults.{name}", *map(str, arguments)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def await_ready(self):
        line = self.popen.stdout.readline()
        if line != "ready\n":
            raise AssertionError(f"{self.popen.args[1:]} did not start: {line!r}")

    def go(self):
        self.popen.stdin.write("go\n")
        self.popen.stdin.flush()

    def report(self):
        """Return what the program did. This closes its stdin, which ends the neighbour, and waits for its exit."""
        text, _ = self.popen.communicate()
        if self.popen.returncode != 0:
            raise AssertionError(f"{self.popen.args[1:]} ended with {self.popen.returncode}")
        return json.loads(text)

    def close(self):
        self.popen.kill()
        self.popen.communicate()


class Storm(FaultsRing):
    members = CALLERS[1:]
    options = ("--max-taps-per-user", "1000", "--max-taps", "1000")

    def program(self, *words):
        program = Program(*words)
        self.addCleanup(program.close)
        return program

    def owner(self):
        with self.host.connect() as bus:
            return bus.owner_of(DAEMON_NAME)

    def storm(self, seed, count):
        """Run one storm; return the clients' records and the neighbour's."""
        neighbour = self.program("storm_neighbour", seed)
        neighbour.await_ready()
        clients = [self.program("storm_client", CALLERS[number % len(CALLERS)], f"{seed}.{number}", count)
                   for number in range(CLIENTS)]
        for client in clients:
            client.await_ready()
        for client in clients:
            client.go()
        records = [record for client in clients for record in client.report()]
        return records, neighbour.report()

    def test_storm(self):
        """Point 3: 64 processes acquire and release among foreign taps, addresses and routes: no collision (I2, I3)."""
        seed, owner = random.SystemRandom().randrange(10**6), self.owner()
        records, neighbour = self.storm(seed, rounds(8, 200))
        gone = kernel.seconds_until(lambda: not kernel.ours())
        grants = [record for record in records if "lease" in record]
        refusals = [record for record in records if "error" in record]
        duplicates = storm_judge.duplicates(grants)
        overlaps = storm_judge.overlaps(grants, neighbour["things"])
        wrong = storm_judge.wrongly_refused(refusals, grants, neighbour["things"])
        broken = [text for grant in grants for text in grant["broken"]]
        traces = kernel.differences(self.host.baseline, kernel.snapshot())
        restarts = int(not self.host.daemon.alive() or self.owner() != owner)
        self.show(seed=seed, clients=CLIENTS, rounds=len(records), granted=len(grants),
                  held_by_descriptors=sum(grant["hold"] == "fd" for grant in grants),
                  taps=sum(grant["count"] for grant in grants),
                  refused=dict(Counter(refusal["error"].rpartition(".")[2] for refusal in refusals)) or 0,
                  refused_without_reason=len(wrong), pairs_of_leases_held_at_one_time=duplicates.compared,
                  duplicates=len(duplicates.conflicts), foreign_things=len(neighbour["things"]),
                  pairs_of_a_grant_and_a_foreign_thing=overlaps.compared, overlaps=len(overlaps.conflicts),
                  foreign_touched=len(neighbour["touched"]), grants_not_as_promised=len(broken),
                  daemon_restarts=restarts, traces=len(traces))
        self.assertEqual((duplicates.conflicts, overlaps.conflicts, wrong, broken), ([], [], [], []))
        self.assertEqual((neighbour["touched"], traces, restarts), ([], [], 0))
        self.assertIsNotNone(gone, "taps of the daemon are left")
        self.assertGreater(len(grants), len(records) // 2, "hardly any lease was granted")
        self.assertGreater(min(duplicates.compared, overlaps.compared), CLIENTS, "hardly any two met")


def tap(number, **changed):
    return {"name": f"tap{number}", "index": number, "mac": f"52:54:00:5c:00:{number:02x}",
            "subnet": f"192.168.{number}.0/24", **changed}


def grant(lease, begin, end, *taps, sent=None):
    return {"lease": lease, "sent": begin - 1 if sent is None else sent, "received": begin, "ended": end,
            "over": end + 1, "taps": list(taps)}


def thing(made, ending, names=(), prefixes=()):
    return {"kind": "thing", "making": made - 1, "made": made, "ending": ending, "ended": ending + 1,
            "names": list(names), "prefixes": list(prefixes)}


class Judge(unittest.TestCase):
    """The judge must find each planted collision, and no other."""

    def conflicts(self, *grants):
        return len(storm_judge.duplicates(grants).conflicts)

    def overlaps(self, given, *things):
        return len(storm_judge.overlaps([given], things).conflicts)

    def test_duplicates(self):
        """The judge finds whatever two leases share that were held at the same time, and nothing if they were not."""
        for shared in ({"name": "tap7"}, {"index": 7}, {"mac": tap(7)["mac"]}, {"subnet": "192.168.7.0/24"},
                       {"subnet": "192.168.0.0/20"}, {"subnet": "192.168.7.128/25"}):
            with self.subTest(shared=shared):
                self.assertEqual(self.conflicts(grant("a", 10, 30, tap(7)), grant("b", 20, 40, tap(8, **shared))), 1)
                self.assertEqual(self.conflicts(grant("a", 10, 30, tap(7)), grant("b", 31, 40, tap(8, **shared))), 0)
                self.assertEqual(self.conflicts(grant("a", 10, 30, tap(7), tap(8, **shared))), 1)
        self.assertEqual(self.conflicts(grant("a", 10, 30, tap(7), tap(9)), grant("b", 20, 40, tap(8))), 0)
        self.assertEqual(self.conflicts(grant("b", 20, 25, tap(8)), grant("a", 1, 90, tap(9), tap(7)),
                                        grant("c", 30, 40, tap(7))), 4)

    def test_overlaps(self):
        """The judge finds what was in a grant's way during all of its request, by name and by overlapping prefix."""
        given = grant("a", 20, 30, tap(7), sent=10)
        for taken in ({"names": ["tap7"]}, {"prefixes": ["192.168.7.9/32"]}, {"prefixes": ["192.168.0.0/16"]}):
            with self.subTest(taken=taken):
                self.assertEqual(self.overlaps(given, thing(9, 21, **taken)), 1)
                self.assertEqual(self.overlaps(given, thing(10, 20, **taken)), 1)
                self.assertEqual(self.overlaps(given, thing(11, 21, **taken), thing(9, 19, **taken)), 0)
        self.assertEqual(self.overlaps(given, thing(1, 90, ["tap8"], ["192.168.8.0/24", "192.168.6.0/24"])), 0)

    def test_refusals(self):
        """The judge finds refusals without a reason, and accepts those for which there was no room."""
        def wrong(*things, count=2, error=storm_judge.EXHAUSTED, grants=()):
            refusal = {"sent": 10, "received": 20, "count": count, "error": error, "text": ""}
            return len(storm_judge.wrongly_refused([refusal], grants, things))
        everything = thing(1, 90, prefixes=["192.168.0.0/16"])
        self.assertEqual(wrong(), 1)
        self.assertEqual(wrong(everything), 0)
        self.assertEqual(wrong(everything, error="org.qemutap1.Error.Failed"), 1)
        self.assertEqual(wrong(thing(1, 8, prefixes=["192.168.0.0/16"])), 1)
        nearly = [thing(1, 90, prefixes=["192.168.0.0/17"]),
                  thing(1, 90, (f"tap{index}" for index in range(128, 253)))]
        self.assertEqual((wrong(*nearly), wrong(*nearly, count=3)), (1, 0))
        self.assertEqual(wrong(*nearly, grants=[grant("a", 19, 30, tap(253))]), 0)
