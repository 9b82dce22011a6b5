# SPDX-License-Identifier: MIT
"""Other users learn nothing of a user's lease (I7). The service answers every call about it from another user as if the
lease did not exist: with the same error, with the same text, after the same time."""

import random
import time

import pytest

from tests.bus.ring import MANAGER, error_name
from tests.faults.faults import FaultsRing, rounds  # first: it says where ring is
from tests.lib import kernel, users
from tests.lib.bus import BusError, Variant

pytestmark = pytest.mark.alone

OWNER, LABEL = "alice", "ofalice"
PROPERTIES = "org.freedesktop.DBus.Properties"
EVERYONE = {"all": Variant("b", True)}
# Standard deviations from even odds: chance alone exceeds them once in 16,000 comparisons.
DEVIATIONS = 4
# Noise of more than this part of one call's time would hide a difference.
MOST_NOISE = 0.05
ATTEMPTS = 5


def invented_id():
    return f"{random.getrandbits(64):016x}"


def middle(values):
    return sorted(values)[len(values) // 2]


class Strangers(FaultsRing):
    members = (OWNER,)

    # (user, whether it is in the group that may acquire)
    strangers = [(user, inside) for inside in (False, True) for user in users.USERS if user != OWNER]

    def give_leases(self):
        """Acquire the owner's two leases, one of each hold. No other user may learn of them."""
        owner = self.connect(OWNER)
        return [self.call(owner, "Acquire", "ua{sv}", 2, {"hold": Variant("s", hold), "label": Variant("s", LABEL)})
                for hold in ("name", "fd")]

    def stranger(self, user, inside):
        """Connect as another user, who is or is not in the group that may acquire."""
        users.set_members(OWNER, *([user] if inside else []))
        return self.connect(user)


class Answers(Strangers):
    def attempts(self, inside, lease, name, label):
        """Yield every method and every access to a property, as (interface.member, signature, arguments)."""
        manager, own = MANAGER[2], {"hold": Variant("s", "name"), "label": Variant("s", label)}
        yield from ((f"{manager}.Release", "s", (word,)) for word in (lease, lease.upper(), name, label))
        yield from ((f"{manager}.List", "a{sv}", (options,)) for options in (
            {}, EVERYONE, {**EVERYONE, "interactive": Variant("b", True)}, {"lease": Variant("s", lease)}))
        # A user in the group would get a lease of its own, which the kernel shows to everyone.
        if not inside:
            yield (f"{manager}.Acquire", "ua{sv}", (1, own))
            yield (f"{manager}.Acquire", "ua{sv}", (1, {}))
        yield (f"{manager}.Acquire", "ua{sv}", (1, {**own, "lease": Variant("s", lease)}))
        yield (f"{PROPERTIES}.GetAll", "s", (manager,))
        for name in ("Version", "Pool", "PrefixLength", "Features", "Leases"):
            yield (f"{PROPERTIES}.Get", "ss", (manager, name))
            yield (f"{PROPERTIES}.Set", "ssv", (manager, name, Variant("s", lease)))
        yield ("org.freedesktop.DBus.Introspectable.Introspect", "", ())

    def answers(self, lease, name, label):
        """Return the answers to each other user, with the words that it sent replaced by a placeholder."""
        told = {}
        for user, inside in self.strangers:
            bus = self.stranger(user, inside)
            for number, (member, signature, arguments) in enumerate(self.attempts(inside, lease, name, label)):
                try:
                    text = repr(bus.call(*MANAGER[:2], member, signature, *arguments))
                except BusError as error:
                    text = f"{error.name}: {error.text}"
                for word in (lease, lease.upper(), name, label):
                    text = text.replace(word, "WORD")
                told[user, inside, number, member] = text
        return told

    def test_same_answers(self):
        """Point 7: all that others try against a user's lease is answered as for one that does not exist (I7)."""
        on_an_empty_host = self.answers(invented_id(), "tap100", "nobody")
        grants = self.give_leases()
        before = kernel.snapshot()
        told = [self.answers(lease, taps[0]["name"], LABEL) for lease, taps, _ in grants]
        beside_others = self.answers(invented_id(), "tap100", "nobody")
        differing = [(place, text, none) for place, none in beside_others.items()
                     for text in (*(one[place] for one in told), on_an_empty_host[place]) if text != none]
        refusals = sum(text.startswith("org.") for text in beside_others.values())
        changed = kernel.differences(before, kernel.snapshot())
        self.show(users_in_and_out_of_the_group=len(self.strangers), calls=4 * len(beside_others),
                  refused=4 * refusals, answered_otherwise=len(differing), state_changed=len(changed))
        self.assertEqual(differing, [])
        self.assertEqual(changed, [])
        releases = {text.split(": ")[0] for place, text in beside_others.items() if place[3].endswith("Release")}
        self.assertEqual(releases, {error_name("NoSuchLease")})


class Times(Strangers):
    def seconds(self, bus, lease):
        start = time.perf_counter()
        with self.assertRaises(BusError) as caught:
            self.call(bus, "Release", "s", lease)
        took = time.perf_counter() - start
        self.assertEqual(caught.exception.name, error_name("NoSuchLease"))
        return took

    def pairs(self, leases, count):
        """Return pairs (seconds for an existing lease, seconds for none). The two calls of a pair follow each other in
        random order, so that other load on the machine affects both alike."""
        found = []
        for user, inside in self.strangers:
            bus = self.stranger(user, inside)
            for number in range(count):
                both = [leases[number % len(leases)], invented_id()]
                order = random.sample((0, 1), 2)
                took = {which: self.seconds(bus, both[which]) for which in order}
                found.append((took[0], took[1]))
        return found

    @staticmethod
    def difference(pairs):
        """Return the median of the pairs' differences and the bounds between which the true median lies. The bounds
        are order statistics, which assume nothing about the distribution of the times: each difference is as likely
        above the true median as below it, so the true median lies outside these ranks as rarely as a coin falls that
        often on one side."""
        differences = sorted(there - none for there, none in pairs)
        middle_rank, reach = len(pairs) // 2, round(DEVIATIONS * len(pairs) ** 0.5 / 2)
        low, high = differences[middle_rank - reach], differences[middle_rank + reach]
        return differences[middle_rank], low, high

    def test_same_time(self):
        """Point 7: the refusal of an existing lease takes as long as that of none, within noise (I7)."""
        leases = [lease for lease, _, _ in self.give_leases()]
        count = rounds(120, 2000)
        # One comparison can fail by chance, once in 16,000, or because of another program that wakes in step with this
        # one, or because the machine is too busy. A real difference shows in every comparison.
        for attempt in range(1, ATTEMPTS + 1):
            pairs = self.pairs(leases, count)
            there, none = (middle(times) for times in zip(*pairs))
            median, low, high = self.difference(pairs)
            noise = (high - low) / 2
            self.show(users_in_and_out_of_the_group=len(self.strangers), pairs=len(pairs),
                      median_of_existing_ms=f"{1e3 * there:.3f}", median_of_none_ms=f"{1e3 * none:.3f}",
                      ratio=f"{there / none:.4f}", difference_us=f"{1e6 * median:+.1f}", noise_us=f"{1e6 * noise:.1f}",
                      attempt=attempt)
            if low <= 0 <= high and noise < MOST_NOISE * none:
                return
        self.fail("another user can distinguish an existing lease from none by the time that the answer takes, or this "
                  "machine is too busy to measure it")
