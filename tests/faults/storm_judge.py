# SPDX-License-Identifier: MIT
"""Finds collisions (I2) in the records that all processes of a storm kept. This module is pure and does not use the
daemon's view of anything.

A lease was certainly held from the arrival of its reply until the caller began to give it back. A foreign thing (a tap,
address or route of another program) certainly existed from the end of its creation until its deletion began. Two leases
conflict if they share something and were held at the same time. A lease conflicts with a foreign thing that existed
during the whole request, because the daemon chose the lease at some moment within the request. In the other direction,
the daemon may refuse a request as PoolExhausted only if there was no room for its taps under the broadest reading: each
lease and each thing counts from the moment its creation began until its maker knew that it was gone."""
import ipaddress

POOL = ipaddress.ip_network("192.168.0.0/16")
# The plan's indexes under the default settings, without the networks of runqemu and libvirt.
INDEXES = frozenset(range(8, 255)) - {122}
EXHAUSTED = "org.qemutap1.Error.PoolExhausted"


def span(prefix):
    network = ipaddress.ip_network(prefix)
    return int(network.network_address), int(network.broadcast_address)


def overlap(one, other):
    return one[0] <= other[1] and other[0] <= one[1]


class Claim:
    """What a lease or a foreign thing occupies: names, indexes, MACs and address ranges."""

    def __init__(self, names, prefixes, indexes=(), macs=()):
        self.words = {("name", name) for name in names} | {("index", index) for index in indexes} | \
                     {("mac", mac) for mac in macs}
        self.spans = [(span(prefix), prefix) for prefix in prefixes]

    def shared(self, other):
        """Return what both occupy, in words."""
        found = [f"{kind} {value}" for kind, value in sorted(self.words & other.words, key=str)]
        found += [f"subnet {text} and {theirs}" for one, text in self.spans for another, theirs in other.spans
                  if overlap(one, another)]
        return found

    def indexes(self):
        """Return the plan's indexes that no lease can have while this exists."""
        taken = {int(value[3:]) for kind, value in self.words if kind == "name" and value[3:].isdigit()}
        base = int(POOL.network_address)
        for (first, last), _ in self.spans:
            taken.update(range(max(0, (first - base) >> 8), min(255, (last - base) >> 8) + 1))
        return taken


def claim_of_tap(tap):
    return Claim([tap["name"]], [tap["subnet"]], [tap["index"]], [tap["mac"]])


def claim_of_grant(grant):
    claims = [claim_of_tap(tap) for tap in grant["taps"]]
    whole = Claim([], [])
    whole.words = set().union(*[claim.words for claim in claims])
    whole.spans = [entry for claim in claims for entry in claim.spans]
    return whole


def claim_of_thing(thing):
    return Claim(thing["names"], thing["prefixes"])


class Verdict:
    """The conflicts, and the number of comparisons: no conflict among no comparisons proves nothing."""

    def __init__(self):
        self.conflicts = []
        self.compared = 0


def duplicates(grants):
    """Find leases that share something and were held at the same time, and taps of one lease that share something."""
    verdict, held = Verdict(), []
    for grant in sorted(grants, key=lambda grant: grant["received"]):
        taps = [claim_of_tap(tap) for tap in grant["taps"]]
        for position, tap in enumerate(taps):
            verdict.conflicts += [f"lease {grant['lease']} twice: {what}" for other in taps[:position]
                                  for what in tap.shared(other)]
        claim = claim_of_grant(grant)
        held = [entry for entry in held if entry[0]["ended"] >= grant["received"]]
        verdict.compared += len(held)
        for other, theirs in held:
            verdict.conflicts += [f"leases {other['lease']} and {grant['lease']}: {what}"
                                  for what in claim.shared(theirs)]
        held.append((grant, claim))
    return verdict


def overlaps(grants, things):
    """Find leases that were granted although a foreign thing was in the way during the whole request."""
    verdict, there = Verdict(), []
    coming = sorted(things, key=lambda thing: thing["made"], reverse=True)
    for grant in sorted(grants, key=lambda grant: grant["sent"]):
        while coming and coming[-1]["made"] <= grant["sent"]:
            thing = coming.pop()
            there.append((thing, claim_of_thing(thing)))
        there = [entry for entry in there if entry[0]["ending"] >= grant["sent"]]
        claim = claim_of_grant(grant)
        for thing, theirs in there:
            if thing["ending"] >= grant["received"]:
                verdict.compared += 1
                verdict.conflicts += [f"lease {grant['lease']} and a {thing['kind']}: {what}"
                                      for what in claim.shared(theirs)]
    return verdict


def wrongly_refused(refusals, grants, things):
    """Find refusals without a reason: those with an error other than PoolExhausted, or with room for all taps."""
    lives = [(thing["making"], thing["ended"], claim_of_thing(thing)) for thing in things]
    lives += [(grant["sent"], grant["over"], claim_of_grant(grant)) for grant in grants]
    wrong = []
    for refusal in refusals:
        taken = set()
        for begin, end, claim in lives:
            if begin <= refusal["received"] and end >= refusal["sent"]:
                taken |= claim.indexes()
        if refusal["error"] != EXHAUSTED or len(INDEXES - taken) >= refusal["count"]:
            wrong.append(f"{refusal['error']} for {refusal['count']} taps with {len(INDEXES - taken)} indexes free: "
                         f"{refusal['text']}")
    return wrong
