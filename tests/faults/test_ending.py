# SPDX-License-Identifier: MIT
"""The daemon's end amid acquires, at any moment: told to by SIGTERM, as at every upgrade and shutdown, or because its
bus is gone. What it has told its callers by then is true, and its successor knows it."""

import random
import select
import signal
import statistics
import time
from collections import Counter

from faults import FaultsRing, error_name, rounds
from acquires import FEW_TAPS, Asked, Kernel, Tally
from rig import kernel
from rig.bus import Variant

# The bus's word for a request that the daemon's end left unread.
LEFT_UNREAD = "org.freedesktop.DBus.Error.NoReply"
IN_FLIGHT = (("root", 3), ("alice", 2), ("bob", 1))
EVERYONES = {"all": Variant("b", True)}


class Ending(FaultsRing):
    def setUp(self):
        super().setUp()
        self.statuses, self.tally, self.forgotten = Counter(), Tally(), []
        self.connect_callers()

    def connect_callers(self):
        self.callers = [(user, self.host.connect(user)) for user, count in IN_FLIGHT for _ in range(count)]
        self.root = self.callers[0][1]
        for _, bus in self.callers:
            self.addCleanup(bus.close)

    def ask(self):
        return [Asked(bus, user, random.choice(FEW_TAPS)) for user, bus in self.callers]

    def give_back(self, asked):
        for one in asked:
            one.let_go()
            one.release(self.root)
        kernel.wait_for(lambda: not kernel.ours(), "the leases end with their callers")

    def usual_seconds(self):
        """How long so many acquires take when nothing happens to the daemon."""
        seconds = []
        for _ in range(5):
            start = time.monotonic()
            asked = self.ask()
            self.assertEqual([one.fetch() for one in asked], ["given"] * len(asked))
            seconds.append(time.monotonic() - start)
            self.give_back(asked)
        return statistics.median(seconds)

    def leases_found(self):
        """What a daemon knows that has just begun."""
        return {lease["lease"] for lease in self.call(self.root, "List", "a{sv}", EVERYONES)[0]}

    def wait_for_any_moment(self):
        """The moment is what is varied here: nothing announces "amid"."""
        select.select([], [], [], random.uniform(0, self.within))

    def ended(self):
        """The figure of how the daemon ended."""
        return " and ".join(f"{times} with {status}" for status, times in sorted(self.statuses.items()))


class Terminated(Ending):
    def terminate(self, asking):
        """One round; `asking`: with polkit's answers held back."""
        if asking:
            self.host.polkit.freeze()
        asked = self.ask()
        self.wait_for_any_moment()
        self.host.daemon.send(signal.SIGTERM)
        self.statuses[self.host.daemon.wait()] += 1
        self.tally.count(asked)
        self.host.polkit.thaw()
        self.host.restart_daemon()
        self.forgotten += self.leases_found() ^ {one.lease for one in asked if one.lease}
        self.give_back(asked)

    def test_any_moment(self):
        """Point 9: SIGTERM at any moment of acquires: status 0, each caller told, what was told is true (I1, I9)."""
        self.within, count, tally = 1.2 * self.usual_seconds(), rounds(60, 1000), self.tally
        for number in range(count):
            self.terminate(asking=number % 4 == 3)
        self.host.no_trace()
        self.show(ends=count, how=self.ended(), acquires=tally.asked, given=tally.given, refused=tally.refused(),
                  unanswered=tally.nothing, incomplete=len(tally.lacking), taps_nobody_was_told_of=len(tally.untold),
                  leases_forgotten_or_unknown=len(self.forgotten))
        self.assertEqual(self.statuses, {0: count})
        self.assertEqual((tally.nothing, tally.lacking, tally.untold, self.forgotten), (0, [], [], []))
        self.assertLessEqual(tally.errors().keys(), {error_name("Failed"), LEFT_UNREAD})
        # The moments were before, amid and after.
        self.assertGreater(min(tally.given, sum(tally.errors().values())), count / 2)


class BusGone(Ending):
    def lose_bus(self, told_to):
        """One round: the bus ends, told to or killed, amid acquires; then bus, polkit and daemon begin anew."""
        before = [Asked(self.root, "root", kind) for kind in ((1, 2, "fd"), (2, 1, "name"))]
        self.assertEqual([one.fetch() for one in before], ["given", "given"])
        asked = self.ask()
        self.wait_for_any_moment()
        self.host.bus.send(signal.SIGTERM if told_to else signal.SIGKILL)
        self.statuses[self.host.daemon.wait()] += 1
        self.reasons += "error: the bus is lost: " in self.host.daemon.log()
        self.tally.count(before + asked)
        self.begin_anew()
        self.compare(before + asked)

    def begin_anew(self):
        self.host.polkit.close()
        self.host.stop_bus()
        open(self.log, "wb").close()
        self.host.start_bus()
        self.host.start_polkit()
        self.host.restart_daemon()
        for _, bus in self.callers:
            bus.close()
        self.connect_callers()

    def compare(self, asked):
        """What was told, what the kernel has and what the new daemon knows. A lease by name that was given in the
        bus's last moment may be there without its caller knowing of it."""
        told = {one.lease for one in asked if one.lease}
        whole, broken = Kernel().leases()
        self.forgotten += (told - whole) | (whole ^ self.leases_found())
        self.broken += broken
        self.unheard += len(whole - told)
        for one in asked:
            one.let_go()
        for lease in self.leases_found():
            self.call(self.root, "Release", "s", lease)
        after = self.ask()
        self.served += sum(one.fetch() == "given" for one in after)
        self.give_back(after)

    def test_bus_restarted(self):
        """Point 9: the bus ends amid acquires: status 1, a line says why, leases stay, the next daemon serves (I1)."""
        self.within, count, tally = 1.2 * self.usual_seconds(), rounds(6, 100), self.tally
        self.broken, self.reasons, self.unheard, self.served = [], 0, 0, 0
        for number in range(count):
            self.lose_bus(told_to=number % 2 == 0)
        self.host.no_trace()
        self.show(ends=count, how=self.ended(), lines_that_say_why=self.reasons, acquires=tally.asked,
                  given=tally.given, cut_off=tally.outcomes["cut off"], incomplete=len(tally.lacking + self.broken),
                  leases_lost=len(self.forgotten), given_but_cut_off=self.unheard, given_by_the_next=self.served)
        self.assertEqual((self.statuses, self.reasons), ({1: count}, count))
        self.assertEqual((tally.nothing, tally.lacking, self.broken, self.forgotten), (0, [], [], []))
        self.assertEqual(self.served, count * len(self.callers))
