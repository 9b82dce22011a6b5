# SPDX-License-Identifier: MIT
"""Points 1, 4 and 7: one call, with few leases and with many, and many calls at once. Each is compared with the time
that the kernel and the bus need for the same work."""

import time

from tests.bench.figures import Row, median, number, p99, spread
from tests.bench.place import MANY, UID, Place

MICRO = 0.001  # a microsecond in milliseconds


def one_call(quick):
    """Measure each Acquire beside a bare tap and an empty call."""
    rounds = 60 if quick else 400
    with Place() as place:
        for hold in ("name", "fd"):
            times = place.measure("calls", hold, 0, rounds)
            floor, bus, acquire = times["bare tap"], times["empty call"], times["acquire"]
            yield Row(1, f"the floor for hold {hold}: a bare tap", spread(floor, MICRO))
            yield Row(1, "the bus floor: an empty call", spread(bus, MICRO))
            yield Row(1, f"Acquire of one tap as root, hold {hold}, divided by floor + bus floor, median",
                      spread(acquire, MICRO), median(acquire) / (median(floor) + median(bus)), 1.5)
            yield Row(1, "the same, p99", spread(acquire, MICRO), p99(acquire) / (p99(floor) + p99(bus)), 3)
        times = place.measure("calls", "name", UID, rounds)
        floor, bus, polkit, acquire = (times[name] for name in ("bare tap", "empty call", "polkit", "acquire"))
        yield Row(1, "polkit's own time for its answer", spread(polkit, MICRO))
        yield Row(1, "Acquire as a user, divided by floor + bus floor + polkit, median", spread(acquire, MICRO),
                  median(acquire) / (median(floor) + median(bus) + median(polkit)), 1.5)
        yield Row(1, "the same, p99", spread(acquire, MICRO), p99(acquire) / (p99(floor) + p99(bus) + p99(polkit)), 3)


def growth(quick):
    """Measure an Acquire with more and more leases. Growth of the kernel's own time does not count."""
    levels = (10, 100, 400) if quick else (10, 100, 1000, 4000)
    rounds = 30 if quick else 100
    found = {}
    with Place(*MANY) as place:
        present = 0
        for level in levels:
            place.measure("fill", level - present)
            present = level
            place.calm()
            found[level] = place.measure("calls", "name", 0, rounds)
        tables, lists = ([place.ctl("list", *words, user="root") for _ in range(10)] for words in ([], ["--json"]))
        starts = []
        for _ in range(3):
            place.stop_daemon()
            begun = time.monotonic()
            place.start_daemon(*MANY)
            starts.append(time.monotonic() - begun)
    grown = {level: median(times["acquire"]) / median(found[levels[0]]["acquire"]) for level, times in found.items()}
    floor = {level: median(times["bare tap"]) / median(found[levels[0]]["bare tap"]) for level, times in found.items()}
    for level, times in found.items():
        yield Row(4, f"Acquire with {level} leases, growth divided by that of a bare tap",
                  f"{spread(times['acquire'], MICRO)}; bare {spread(times['bare tap'], MICRO)}",
                  grown[level] / floor[level], 1.3)
    yield Row(4, f"`qemu-tapctl list` of {levels[-1]} leases, whole process", spread(tables), median(tables), 50, " ms")
    yield Row(4, "the same as JSON, about 450 bytes a lease; for comparison", spread(lists))
    yield Row(4, f"the service's start with {levels[-1]} leases", spread(starts, 1000), median(starts), 1, " s")


def crowd(quick):
    """Measure many processes that begin at the same moment."""
    clients = 64
    with Place("--max-taps-per-user=200", "--log-level=warning") as place:
        times = place.measure("crowd", clients, 10 if quick else 20)
    bare, ours = median(times["bare tap all"]), median(times["acquire all"])
    each = times["acquire each"]
    yield Row(7, f"the floor: {clients} processes make a bare tap each", spread(times["bare tap all"], MICRO))
    yield Row(7, f"{clients} clients acquire at once, until all are done, divided by the floor",
              spread(times["acquire all"], MICRO), ours / bare, 1.5)
    yield Row(7, "the longest wait of one client, divided by the median wait",
              f"{spread(each, MICRO)}, longest {number(max(each) * MICRO)} ms", max(each) / median(each), 10)
