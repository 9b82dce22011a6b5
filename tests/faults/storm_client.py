# SPDX-License-Identifier: MIT
"""storm_client.py USER SEED ROUNDS: a process that acquires and gives back leases at the same time as many others. It
prints `ready`, begins when it reads a line on stdin, and prints as JSON when (CLOCK_MONOTONIC, ns) it asked for each
lease, received it and gave it back. storm_judge.py judges the records of all processes afterwards."""

import ipaddress
import json
import os
import random
import sys
import time

from tests.bus.stand_in import tap_of
from tests.lib.bus import BusError, Connection
from tests.lib.wire import Variant

MANAGER = ("org.qemutap1", "/org/qemutap1", "org.qemutap1.Manager")
IFF_UP = 0x1
LONGEST_HOLD = 0.3  # s
# By the project's promise, a tap is gone this long after its last descriptor is closed.
SECONDS_TO_END = 1


def call(bus, member, signature, *arguments):
    return bus.call(*MANAGER[:2], f"{MANAGER[2]}.{member}", signature, *arguments)


def wish(chance):
    """Return what this round asks for, as (count, options)."""
    options = {"hold": Variant("s", chance.choice(("fd", "name")))}
    if chance.random() < 0.25:
        options["queues"] = Variant("u", 2)
    if chance.random() < 0.25:
        options["label"] = Variant("s", f"vm{chance.randrange(10)}")
    if options["hold"].value == "name" and chance.random() < 0.25:
        options["idle-timeout"] = Variant("t", 3600)
    return chance.choice((1, 1, 1, 2, 2, 3, 4)), options


def fact(name, file):
    with open(f"/sys/class/net/{name}/{file}", encoding="utf-8") as opened:
        return opened.read().strip()


def broken_promises(lease, taps, descriptors, count, options):
    """Return where a grant differs from the kernel: the lease's devices are up, the descriptors are theirs."""
    queues = options["queues"].value if "queues" in options else 1
    named = [tap["name"] for tap in taps]
    found = [] if len(taps) == count else [f"{len(taps)} taps instead of {count}"]
    expected = [name for name in named for _ in range(queues)] if options["hold"].value == "fd" else []
    behind = [tap_of(descriptor) for descriptor in descriptors]
    if [tap and tap["name"] for tap in behind] != expected:
        found.append(f"descriptors are of {behind}, not of {expected}")
    for name in named:
        try:
            if f" i={lease} " not in fact(name, "ifalias") or not int(fact(name, "flags"), 16) & IFF_UP:
                found.append(f"{name} is {fact(name, 'ifalias')!r} with flags {fact(name, 'flags')}")
        except OSError as error:
            found.append(f"{name}: {error.strerror}")
    return found


def tap_record(tap):
    network = ipaddress.ip_interface(f"{tap['gateway']}/{tap['prefix-length']}").network
    return {"name": tap["name"], "index": tap["index"], "mac": tap["mac"], "subnet": str(network)}


def give_back(bus, lease, descriptors, by_release, record):
    """End the lease by Release, or as a program does that exits: by closing the last descriptor."""
    record["ended"] = time.monotonic_ns()
    try:
        if by_release:
            call(bus, "Release", "s", lease)
    except BusError as error:
        record["broken"].append(f"release: {error}")
    for descriptor in descriptors:
        os.close(descriptor)
    record["over"] = time.monotonic_ns() + (0 if by_release else SECONDS_TO_END * 10**9)


def round_of(bus, chance):
    count, options = wish(chance)
    record = {"count": count, "hold": options["hold"].value, "sent": time.monotonic_ns()}
    try:
        lease, taps, descriptors = call(bus, "Acquire", "ua{sv}", count, options)
    except BusError as error:
        record.update(received=time.monotonic_ns(), error=error.name, text=error.text)
        time.sleep(chance.uniform(0, LONGEST_HOLD))
        return record
    record.update(received=time.monotonic_ns(), lease=lease, taps=[tap_record(tap) for tap in taps],
                  broken=broken_promises(lease, taps, descriptors, count, options))
    time.sleep(chance.uniform(0, LONGEST_HOLD))
    by_release = record["hold"] == "name" or chance.random() < 0.5
    give_back(bus, lease, descriptors, by_release, record)
    return record


def main():
    user, seed, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    chance = random.Random(seed)
    with Connection(user, timeout=120) as bus:
        print("ready", flush=True)
        sys.stdin.readline()
        records = [round_of(bus, chance) for _ in range(rounds)]
    print(json.dumps(records))


if __name__ == "__main__":
    main()
