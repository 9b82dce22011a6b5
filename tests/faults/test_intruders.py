# SPDX-License-Identifier: MIT
"""Another user guesses the next tap's name and tries to attach to it all the time, in particular in the instant before
it has an owner. That user gets no queue of any tap that the daemon gives to a caller."""

import errno
import fcntl
import itertools
import os
import pathlib
import socket
import struct
from collections import Counter

import pytest

from tests.bus.ring import error_name
from tests.faults import tun
from tests.faults.actor import Actor, told_to_stop
from tests.faults.faults import FaultsRing, rounds
from tests.lib import kernel
from tests.lib.bus import BusError
from tests.lib.wire import Variant

pytestmark = pytest.mark.alone

NAMES = ("tap8", "tap9", "tap10")
# No lease has this name: a user attaches to it only by making it, which takes a right that users do not have.
UNUSED = "tap250"


def ifindex_of(descriptor, name):
    """Return the ifindex of the descriptor's device, or None if the device is gone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            found = struct.unpack_from("16xi", fcntl.ioctl(any_socket, tun.SIOCGIFINDEX, tun.request(name, "i", 0)))[0]
        except OSError:
            return None
    # The descriptor is still attached, so the name meant its device at the moment of the question.
    return found if tun.name_of(descriptor) == name else None


def intrude(own, stays):
    """Attach to any device with one of the names until asked to stop. With `stays`, keep the queue; else leave a mark
    and close it. Return the attempts by outcome, and the ifindexes of the devices it stayed in. Runs in the actor."""
    targets = [(name, flags) for name in NAMES for flags in (tun.IFF_MULTI_QUEUE,) * 3 + (tun.IFF_TAP,)]
    targets.append((UNUSED, tun.IFF_TAP))
    requests = itertools.cycle([(name, tun.request(name, "H", flags)) for name, flags in targets])
    outcomes, been_in, descriptor = Counter(), [], os.open("/dev/net/tun", os.O_RDWR)
    while not told_to_stop():
        for name, request in itertools.islice(requests, 100):
            try:
                fcntl.ioctl(descriptor, tun.TUNSETIFF, request)
            except OSError as error:
                outcomes[errno.errorcode[error.errno]] += 1
                continue
            outcomes["made" if name == UNUSED else "attached"] += 1
            if stays:
                been_in.append(ifindex_of(descriptor, name))
                own.append(descriptor)
            else:
                # One quick call: the tap's group shows afterwards that another process was attached.
                tun.do(descriptor, "TUNSETGROUP")
                os.close(descriptor)
            descriptor = os.open("/dev/net/tun", os.O_RDWR)
    os.close(descriptor)
    return outcomes, been_in


def still_in(own):
    """Return the names of the devices that it has queues of, then close them. Runs in the actor."""
    names = [name for name in map(tun.name_of, own) if name]
    while own:
        os.close(own.pop())
    return names


class Intruders(FaultsRing):
    def setUp(self):
        super().setUp()
        self.alice = self.host.connect("alice")
        self.addCleanup(self.alice.close)
        self.counts, self.granted, self.wrong = Counter(), set(), []  # `wrong`: taps that are not the owner's alone

    def intruder(self, stays):
        actor = Actor("bob")
        self.addCleanup(actor.end)
        actor.start(intrude, stays)
        return actor

    def attempts_of(self, intruders):
        """Stop all; return the outcomes of all attempts, the devices they stayed in, and those they are still in."""
        outcomes, been_in, still = Counter(), [], []
        for actor in intruders:
            actor.stop()
            counted, seen = actor.result()
            outcomes += counted
            been_in += seen
            still += actor.ask(still_in)
        return outcomes, been_in, still

    def acquire(self, hold, queues):
        options = {"hold": Variant("s", hold), "queues": Variant("u", queues)}
        try:
            lease, taps, descriptors = self.call(self.alice, "Acquire", "ua{sv}", 1, options)
        except BusError as error:
            if error.name != error_name("HostRefused"):
                raise
            self.counts["gave up"] += 1
            return
        self.counts["acquired"] += 1
        for tap in taps:
            self.granted.add(int(pathlib.Path(f"/sys/class/net/{tap['name']}/ifindex").read_text(encoding="ascii")))
            self.look_at(tap["name"], hold, queues)
        for descriptor in descriptors:
            os.close(descriptor)
        if hold == "name":
            self.call(self.alice, "Release", "s", lease)

    def look_at(self, name, hold, queues):
        """Check in the kernel that the tap belongs to its owner alone and that no intruder left a mark on it."""
        link = kernel.link(name)
        tap = link["linkinfo"]["info_data"]
        expected = {"user": "alice", "group": None, "numqueues": None if queues == 1 else queues if hold == "fd" else 0}
        found = {key: tap.get(key) for key in expected}
        if link["link_type"] != "ether" or found != expected or (hold == "fd" and tap["persist"]):
            self.wrong.append((name, hold, queues, link["link_type"], tap))

    def test_third_user(self):
        """Point 5: a third user who attaches all the time never gets into a tap that is given to a caller (I4)."""
        intruders = [self.intruder(stays) for stays in (True, False)]
        wanted = rounds(100, 1000)
        for number in range(wanted):
            self.acquire(("fd", "name")[number % 2], (1, 2, 4, 2)[number // 2 % 4])
        outcomes, been_in, still = self.attempts_of(intruders)
        successes = sum(ifindex in self.granted for ifindex in been_in)
        self.show(acquires=self.counts["acquired"], gave_up=self.counts["gave up"], attempts=sum(outcomes.values()),
                  refused=" ".join(f"{count}x {name}" for name, count in sorted(outcomes.items()) if name[0] == "E"),
                  taps_made_by_the_user=outcomes["made"], got_into_taps_then_thrown_away=outcomes["attached"],
                  queues_of_taps_that_were_given=successes, given_taps_with_a_mark=len(self.wrong),
                  queues_still_alive=len(still))
        self.assertEqual((outcomes["made"], successes, still, self.wrong[:3]), (0, 0, [], []))
        self.assertGreater(self.counts["acquired"], 0.9 * wanted)
        self.assertGreaterEqual(sum(outcomes.values()), rounds(1000, 10_000))
        self.host.no_trace()
