# SPDX-License-Identifier: MIT
"""A second implementation of how aliases are read as leases, written from the contract and not from the daemon, to
measure the daemon by. It is pure: links and addresses come from a dump of the kernel.

A tap belongs to the daemon if its alias is a tag that names the tap's own ifindex (I3). Taps whose tags name the same
lease form that lease. The contract does not say what happens if two taps claim one place in a lease: the daemon may
count either of them, and the other one is in no lease."""

import ipaddress
import itertools
import re
from typing import NamedTuple

LIVE_GROUP = 0x71746170
POOL = ipaddress.ip_network("192.168.0.0/16")
NUMBER = r"(0|[1-9][0-9]*)"
TAG = re.compile(
    rf"qemu-tap2 i=([0-9a-f]{{16}}) t={NUMBER}/{NUMBER} x={NUMBER} d={NUMBER} u={NUMBER} h=(f|n) "
    rf"m=([0-9a-f]{{12}}) q={NUMBER}(?: v=(1))?(?: s=([1-9][0-9]*))?"
    rf"(?: a=(:[A-Za-z0-9._-]{{1,13}}@[0-9a-f]{{8}}))?(?: b={NUMBER})?(?: l=([A-Za-z0-9][A-Za-z0-9._:@+-]{{0,62}}))?",
    re.ASCII)
HOLDS = {"f": "fd", "n": "name"}


class Tag(NamedTuple):
    lease: str
    position: int
    count: int
    index: int
    ifindex: int
    uid: int
    hold: str
    mac: str
    queues: int
    vhost: int
    idle: int
    label: str
    attendant: str = ""
    born: int | None = None

    def text(self):
        return (f"qemu-tap2 i={self.lease} t={self.position}/{self.count} x={self.index} d={self.ifindex} u={self.uid} "
                f"h={self.hold[:1]} m={self.mac.replace(':', '')} q={self.queues}" + (" v=1" if self.vhost else "") +
                (f" s={self.idle}" if self.idle else "") + (f" a={self.attendant}" if self.attendant else "") +
                (f" b={self.born}" if self.born is not None else "") + (f" l={self.label}" if self.label else ""))


def decode(alias):
    """Return the tag, or None if the alias is not exactly one tag."""
    match = TAG.fullmatch(alias)
    if not match:
        return None
    lease, *numbers, hold, mac, queues, vhost, idle, attendant, born, label = match.groups()
    tag = Tag(lease, *map(int, numbers), HOLDS[hold], ":".join(re.findall("..", mac)), int(queues), int(vhost or 0),
              int(idle or 0), label or "", attendant or "", None if born is None else int(born))
    fits = (tag.position < tag.count <= 32 and tag.index <= 0xffff and 0 < tag.ifindex <= 0x7fffffff and
            tag.uid <= 0xffffffff and 1 <= tag.queues <= 16 and tag.idle <= 365 * 86400 and
            (tag.born or 0) <= 0xffffffff and
            not ((tag.attendant or tag.idle) if tag.hold == "fd" else tag.vhost))
    return tag if fits else None


def own_tag(link):
    tag = decode(link.alias) if link.tap else None
    return tag if tag and tag.ifindex == link.ifindex else None


def claims(links):
    """Return {lease: {position: [ifindex, ...]}} of the daemon's taps."""
    found = {}
    for ifindex in sorted(links):
        tag = own_tag(links[ifindex])
        if tag:
            found.setdefault(tag.lease, {}).setdefault(tag.position, []).append(ifindex)
    return found


def readings(places):
    """Yield each way to read a lease, as {position: ifindex}: one, unless two taps claim the same place."""
    positions = sorted(places)
    for chosen in itertools.product(*(places[position] for position in positions)):
        yield dict(zip(positions, chosen))


def must_go(reading, links):
    """Return the taps that a lease, read this way, cannot keep: all taps of a lease held by name if one is missing,
    taps whose deletion has begun, and taps held by descriptors that no process has open any more (I6)."""
    taps = [links[reading[position]] for position in sorted(reading)]
    first = own_tag(taps[0])
    if first.hold == "name" and len(taps) != first.count:
        return {tap.ifindex for tap in taps}
    return {tap.ifindex for tap in taps if (not tap.up and tap.group != LIVE_GROUP) or
            (own_tag(tap).hold == "fd" and tap.persistent and not tap.carrier)}


def at_risk(links, gone=frozenset()):
    """Return the taps that the daemon may delete in this state, given that those in `gone` may be deleted already. If
    one tap of a lease held by name may be deleted, so may all of its taps."""
    found = set()
    for places in claims(links).values():
        doomed = set().union(*(must_go(reading, links) for reading in readings(places)))
        everyone = {ifindex for ifindexes in places.values() for ifindex in ifindexes}
        doomed |= everyone & gone
        by_name = any(own_tag(links[ifindex]).hold == "name" for ifindex in everyone)
        found |= everyone if doomed and by_name else doomed
    return found


def addresses_fit(tap, index, addresses):
    """The entry must show the planned address if the tap has it, else any address it has, else an empty one."""
    if not addresses:
        return (tap["gateway"], tap["client"], tap["prefix-length"]) == ("", "", 0)
    shown = f"{tap['gateway']}/{tap['prefix-length']}"
    planned = f"{POOL.network_address + (index << 8) + 1}/24" if index < 256 else None
    return shown == planned if planned in addresses else \
        shown in addresses and ipaddress.ip_address(tap["client"]) == ipaddress.ip_address(tap["gateway"]) + 1


def tap_fits(tap, link, addresses):
    tag = own_tag(link)
    return (tap["name"], tap["index"], tap["mac"], tap["queues"], tap["vhost"]) == \
        (link.name, tag.index, tag.mac, tag.queues, bool(tag.vhost)) and addresses_fit(tap, tag.index, addresses)


def lease_fits(entry, reading, links, addresses):
    """True if the daemon's list entry describes this lease, read this way."""
    ifindexes = [reading[position] for position in sorted(reading)]
    common = own_tag(links[ifindexes[0]])
    return (entry["label"], entry["uid"], entry["hold"], entry["idle-timeout"], len(entry["taps"])) == \
        (common.label, common.uid, common.hold, common.idle, len(ifindexes)) and \
        entry["attended"] == bool(common.attendant) and \
        all(tap_fits(tap, links[ifindex], addresses.get(ifindex, set()))
            for tap, ifindex in zip(entry["taps"], ifindexes))


def unrest(links):
    """Return one line for each lease that must still be deleted, however it is read."""
    return [f"lease {lease} is still there: {[links[ifindex].name for ifindex in must_go(reading, links)]}"
            for lease, places in claims(links).items()
            for reading in [min(readings(places), key=lambda reading: len(must_go(reading, links)))]
            if must_go(reading, links)]


def disagreements(listed, links, addresses):
    """Return one line for each difference between the daemon's list of all leases and the kernel."""
    entries, expected = {entry["lease"]: entry for entry in listed}, claims(links)
    lines = [f"listed, but not there: {entries[lease]}" for lease in entries.keys() - expected.keys()]
    lines += [f"there, but not listed: {lease} {expected[lease]}" for lease in expected.keys() - entries.keys()]
    lines += [f"listed wrongly: {entries[lease]}, but the taps are {[links[i] for p in places.values() for i in p]}"
              for lease, places in expected.items() if lease in entries and
              not any(lease_fits(entries[lease], reading, links, addresses) for reading in readings(places)
                      if not must_go(reading, links))]
    return lines + (["a lease is listed twice"] if len(entries) != len(listed) else [])
