# SPDX-License-Identifier: MIT
"""Point 5: a thousand leases end at once. Measured are the time that this takes, and the longest wait of another user
meanwhile, each compared with bare taps, for which the kernel's own lock makes processes wait too."""

from tests.bench.figures import Row, median, number, spread
from tests.bench.place import MANY, UID, Place, finished

MICRO = 0.001  # a microsecond in milliseconds


class Ends:
    """The times of one way to end taps, and the longest waits meanwhile of a process that makes tap after tap."""

    def __init__(self, place, other):
        self.place, self.other, self.times, self.waits = place, other, [], []

    def take(self, act):
        other = self.place.measuring("stream", self.other)
        self.times.append(act())
        self.waits.append(max(finished(other)["took"]))


def rows(floor_text, floor, ours_text, ours):
    yield Row(5, f"the floor: {floor_text}", spread(floor.times, MICRO))
    yield Row(5, f"{ours_text}, divided by the floor", spread(ours.times, MICRO),
              median(ours.times) / median(floor.times), 2)
    yield Row(5, "longest wait meanwhile of a process that makes bare taps",
              f"{number(median(floor.waits) * MICRO)} ms")
    yield Row(5, "longest wait meanwhile of another user's Acquire, divided by that of bare taps",
              f"{number(median(ours.waits) * MICRO)} ms", median(ours.waits) / median(floor.waits), 1.5)


def endings(quick):
    count, rounds = (300, 3) if quick else (1000, 5)
    with Place(*MANY) as place:
        bare, ours = Ends(place, "bare"), Ends(place, UID)
        for _ in range(rounds):
            bare.take(lambda: place.measure("deletion", count)["deletion"][0])
            place.measure("fill", count)
            ours.take(lambda: place.ctl("down", "--all", user="root") / MICRO)
        yield from rows(f"{count} bare taps, deleted as one group", bare, f"`qemu-tapctl down --all` of {count} leases", ours)
        bare, ours = Ends(place, "bare"), Ends(place, UID)
        for _ in range(rounds):
            for ends, whose in ((bare, "bare"), (ours, "leases")):
                owners = place.measuring("owners", whose, count)
                ends.take(lambda owners=owners: finished(owners)["end"][0])
    yield from rows(f"{count} holders of bare taps, killed together", bare,
                    f"the holders of {count} leases, killed together", ours)
