# SPDX-License-Identifier: MIT
"""Who collided with whom (I2), by the records that all sides of a storm kept of themselves. Pure, and it asks nobody:
the daemon has no say in it.

A lease was certainly held from its reply's arrival until it began to be given back. A thing of somebody else was
certainly there from its completed creation until its deletion began. Two leases conflict if they were held at one time;
a lease conflicts with a thing that was there all the while it was asked for, since it was decided then, whenever in
between. The other way round, a request may be told that the pool is exhausted only if its taps had no room under the
broadest reading: everything counts from the moment somebody began to make it until he had been told of its end."""

import ipaddress

POOL = ipaddress.ip_network("192.168.0.0/16")
# Of the default settings: the plan's indexes, without runqemu's and libvirt's networks.
INDEXES = frozenset(range(8, 255)) - {122}
EXHAUSTED = "org.qemutap1.Error.PoolExhausted"


def span(prefix):
    network = ipaddress.ip_network(prefix)
    return int(network.network_address), int(network.broadcast_address)


def overlap(one, other):
    return one[0] <= other[1] and other[0] <= one[1]


class Claim:
    """What a lease or a thing takes up: names, indexes, MACs and address ranges."""

    def __init__(self, names, prefixes, indexes=(), macs=()):
        self.words = {("name", name) for name in names} | {("index", index) for index in indexes} | \
                     {("mac", mac) for mac in macs}
        self.spans = [(span(prefix), prefix) for prefix in prefixes]

    def shared(self, other):
        """What both take up, in words."""
        found = [f"{kind} {value}" for kind, value in sorted(self.words & other.words, key=str)]
        found += [f"subnet {text} and {theirs}" for one, text in self.spans for another, theirs in other.spans
                  if overlap(one, another)]
        return found

    def indexes(self):
        """The plan's indexes that can't be given while this is there."""
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
    """What was found, and how often there was something to look at: nothing found among nothing proves nothing."""

    def __init__(self):
        self.conflicts = []
        self.compared = 0


def duplicates(grants):
    """Leases that were held at one time and share anything, and taps of one lease that do."""
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
    """Leases that were given although a thing of somebody else was in the way all the time."""
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
    """The refusals for which there was no reason: another error than an exhausted pool, or room for all their taps."""
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
