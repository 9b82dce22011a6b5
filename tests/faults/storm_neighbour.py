# SPDX-License-Identifier: MIT
"""storm_neighbour.py SEED: plays the other programs of a busy host. Until its stdin ends it makes taps named tap%d and
tapN, alternative names, addresses and routes in the daemon's pool, at random, and removes them again. It looks at each
thing before it removes it: a thing that is not as it was made has been touched by another program.

It prints `ready`, and at the end as JSON when (CLOCK_MONOTONIC, ns) each thing existed, and which ones were touched."""

import contextlib
import errno
import heapq
import ipaddress
import json
import os
import random
import select
import socket
import sys
import time

from tests.faults import rtnetlink
from tests.faults.rtnetlink import Rtnetlink

POOL = ipaddress.ip_network("192.168.0.0/16")
# The range in which leases get their indexes. In a much wider range things and leases would seldom meet.
INDEXES = range(7, 90)
# Prefix lengths, weighted: those of single hosts, of networks as small as the daemon's, and of whole companies.
LENGTHS = [32] * 12 + [30] * 8 + [26] * 8 + [24] * 24 + [23] * 8 + [22] * 6 + [20] * 4 + [18] * 2 + [16]
BROAD = 20
TABLES = (254, 100, 101, 102)
MOST = 48
DISTANCE = 0.004  # s between two things: the kernel makes one change of the network at a time


class Neighbour:
    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.net = Rtnetlink()
        self.due = []      # (when to remove it, its number)
        self.things = {}   # number: record, how to look at it, how to remove it
        self.records = []
        self.touched = []
        self.made = 0
        with open("/proc/sys/net/ipv4/conf/all/promote_secondaries", "w", encoding="ascii") as setting:
            setting.write("1")  # else deleting an address deletes others of its subnet
        # These take the lowest names, so that the next free one is a name that the daemon may choose too.
        self.low = [rtnetlink.add_tun(f"tap{number}") for number in range(INDEXES[0])]
        self.lan = [rtnetlink.add_tun(f"lan{number}", rtnetlink.IFF_TUN) for number in range(3)]
        for number, ifindex in enumerate(self.lan):
            # Without an address of its own, a device loses all routes through it with its last address.
            self.net.add_address(ifindex, f"10.0.{number}.1/24")
            self.net.change(ifindex, up=True)
        self.base = {ifindex: self.net.link(ifindex) for ifindex in self.low + self.lan}

    # The kinds of things

    def prefix(self):
        length = self.chance.choice(LENGTHS)
        first = int(POOL.network_address) + (self.chance.choice(INDEXES) << 8) + self.chance.randrange(1, 255)
        return ipaddress.ip_interface((first, length))

    def alone(self, ifindex):
        """Return a check that the device has what its maker gave it, and nothing else."""
        before = self.net.link(ifindex)
        return lambda: self.net.link(ifindex)._replace(carrier=before.carrier) == before

    def tap_by_pattern(self, record):
        """Make a tap as a program does that keeps it open."""
        descriptor, name = rtnetlink.open_tun("tap%d")
        ifindex = socket.if_nametoindex(name)
        record["names"].append(name)
        self.net.change(ifindex, alias=f"of another program: {self.made}")
        return self.alone(ifindex), lambda: os.close(descriptor)

    def tap_by_name(self, record):
        """Make a tap as `ip tuntap add` does, half of the time with an address."""
        name = f"tap{self.chance.choice(INDEXES)}"
        ifindex = rtnetlink.add_tun(name)
        record["names"].append(name)
        if self.chance.random() < 0.5:
            own = self.prefix()
            self.net.add_address(ifindex, str(own))
            self.net.change(ifindex, up=True)
            record["prefixes"].append(str(own.network))
        return self.alone(ifindex), lambda: self.net.delete(ifindex)

    def alternative_name(self, record):
        name, ifindex = f"tap{self.chance.choice(INDEXES)}", self.chance.choice(self.lan)
        self.net.add_alt_name(ifindex, name)
        record["names"].append(name)
        return lambda: socket.if_nametoindex(name) == ifindex, lambda: self.net.delete_alt_name(ifindex, name)

    def address(self, record):
        own, ifindex = self.prefix(), self.chance.choice(self.lan)
        self.net.add_address(ifindex, str(own))
        record["prefixes"].append(str(own.network))
        return lambda: True, lambda: self.net.delete_address(ifindex, str(own))

    def route(self, record):
        network, oif = str(self.prefix().network), self.chance.choice([0, *self.lan])
        words = (network, self.chance.choice(TABLES), 1000 + self.made, oif)
        self.net.add_route(*words)
        record["prefixes"].append(network)
        return lambda: True, lambda: self.net.delete_route(*words)

    def vpn(self, record):
        """Make a device with an address and a route, both of which the kernel deletes with the device."""
        descriptor, name = rtnetlink.open_tun("vpn%d", rtnetlink.IFF_TUN)
        ifindex, own, beyond = socket.if_nametoindex(name), self.prefix(), str(self.prefix().network)
        self.net.add_address(ifindex, str(own))
        self.net.change(ifindex, up=True)
        self.net.add_route(beyond, 254, 1000 + self.made, ifindex)
        record["prefixes"] += [str(own.network), beyond]
        return self.alone(ifindex), lambda: os.close(descriptor)

    # Making and removing

    def make(self):
        """Make one thing, unless another program has the name already."""
        kinds = (self.tap_by_pattern, self.tap_by_name, self.tap_by_name, self.alternative_name, self.address,
                 self.address, self.address, self.route, self.route, self.route, self.vpn)
        kind = self.chance.choice(kinds)
        self.made += 1
        record = {"kind": kind.__name__, "names": [], "prefixes": [], "making": time.monotonic_ns()}
        try:
            look, take_away = kind(record)
        except OSError as error:
            if error.errno in (errno.EBUSY, errno.EEXIST):
                return
            raise
        record["made"] = time.monotonic_ns()
        broad = any(ipaddress.ip_network(prefix).prefixlen < BROAD for prefix in record["prefixes"])
        life = self.chance.uniform(0, 0.1) if broad else self.chance.choice((0.02, 0.5, 2)) * self.chance.random()
        self.things[self.made] = record, look, take_away
        heapq.heappush(self.due, (time.monotonic() + life, self.made))

    def take_away(self):
        _, number = heapq.heappop(self.due)
        record, look, take_away = self.things.pop(number)
        try:
            as_made = look()
            record["ending"] = time.monotonic_ns()
            take_away()
        except (OSError, AttributeError) as error:
            as_made = False
            record.setdefault("ending", time.monotonic_ns())
            record["error"] = repr(error)
        record["ended"] = time.monotonic_ns()
        self.records.append(record)
        if not as_made:
            self.touched.append(record)

    def wait(self):
        """Wait until the next thing is due; return False when stdin has ended."""
        left = max(0, self.due[0][0] - time.monotonic()) if len(self.due) >= MOST else DISTANCE
        return not select.select([sys.stdin], [], [], min(left, 1))[0]

    def end(self):
        while self.due:
            self.take_away()
        addresses = self.net.addresses()
        for ifindex, before in self.base.items():
            own = {f"10.0.{self.lan.index(ifindex)}.1/24"} if ifindex in self.lan else set()
            if self.net.link(ifindex) != before or addresses.get(ifindex, set()) != own:
                self.touched.append({"names": [before.name], "kind": "there from the beginning"})
            with contextlib.suppress(OSError):
                self.net.delete(ifindex)


def main():
    os.nice(-10)  # one process among many, which must get enough turns
    neighbour = Neighbour(sys.argv[1])
    print("ready", flush=True)
    while neighbour.wait():
        if len(neighbour.due) < MOST:
            neighbour.make()
        while neighbour.due and neighbour.due[0][0] <= time.monotonic():
            neighbour.take_away()
    neighbour.end()
    print(json.dumps({"things": neighbour.records, "touched": neighbour.touched}))


if __name__ == "__main__":
    main()
