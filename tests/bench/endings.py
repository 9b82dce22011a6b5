# SPDX-License-Identifier: MIT
"""Point 5: a thousand leases that end together, and what somebody else waits meanwhile, beside what the kernel's own
lock makes anybody wait."""

from figures import Row, median, number, spread
from place import MANY, UID, Place, finished

MICRO = 0.001


def beside(place, whose, act):
    """What `act` gives, and the longest that one waited meanwhile who makes one tap after the other."""
    other = place.measuring("stream", whose)
    came_to = act()
    return came_to, max(finished(other)["took"])


def endings(quick):
    count, rounds = (200, 2) if quick else (1000, 3)
    with Place(*MANY) as place:
        deletions, waits, downs, our_waits = [], [], [], []
        for _ in range(rounds):
            times, wait = beside(place, "bare", lambda: place.measure("deletion", count, 1))
            deletions += times["deletion"]
            waits.append(wait)
            place.measure("fill", count)
            took, wait = beside(place, UID, lambda: place.ctl_seconds("down", "--all", user="root"))
            downs.append(took * 1e6)
            our_waits.append(wait)
        yield Row(5, f"the floor: {count} bare taps, deleted as one group", spread(deletions, MICRO))
        yield Row(5, f"`qemu-tapctl down --all` of {count} leases, by the floor", spread(downs, MICRO),
                  median(downs) / median(deletions), 2)
        yield Row(5, "meanwhile, who makes bare taps waits at most", f"{number(median(waits) * MICRO)} ms")
        yield Row(5, "meanwhile, another user's Acquire waits at most, by that", f"{number(median(our_waits) * MICRO)} ms",
                  median(our_waits) / median(waits), 1.5)
        bare, leases, waits, our_waits = [], [], [], []
        for _ in range(rounds):
            for what, whose, times, longest in (("bare", "bare", bare, waits), ("leases", UID, leases, our_waits)):
                owners = place.measuring("owners", what, count)
                came_to, wait = beside(place, whose, lambda owners=owners: finished(owners))
                times += came_to["end"]
                longest.append(wait)
    yield Row(5, f"the floor: {count} holders of bare taps, killed together", spread(bare, MICRO))
    yield Row(5, f"the holders of {count} leases, killed together, by the floor", spread(leases, MICRO),
              median(leases) / median(bare), 2)
    yield Row(5, "meanwhile, who makes bare taps waits at most", f"{number(median(waits) * MICRO)} ms")
    yield Row(5, "meanwhile, another user's Acquire waits at most, by that", f"{number(median(our_waits) * MICRO)} ms",
              median(our_waits) / median(waits), 1.5)
