# SPDX-License-Identifier: MIT
"""The daemon ends during Acquire calls, at any moment: by SIGTERM, as at every upgrade and shutdown, or because its bus
is gone. Each answer that it gave until then is true, and the next daemon knows the leases."""

import random
import select
import signal
import statistics
import time
from collections import Counter

from tests.faults.acquires import FEW_TAPS, Asked, Kernel, Tally
from tests.faults.faults import FaultsRing, error_name, rounds
from tests.lib import kernel
from tests.lib.bus import Variant

# The error that the bus returns for a request that the daemon had not read when it ended.
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
        """Return how long these Acquire calls take while the daemon runs undisturbed."""
        seconds = []
        for _ in range(5):
            start = time.monotonic()
            asked = self.ask()
            self.assertEqual([one.fetch() for one in asked], ["given"] * len(asked))
            seconds.append(time.monotonic() - start)
            self.give_back(asked)
        return statistics.median(seconds)

    def leases_found(self):
        """Return the leases that a daemon lists right after its start."""
        return {lease["lease"] for lease in self.call(self.root, "List", "a{sv}", EVERYONES)[0]}

    def wait_for_any_moment(self):
        """Sleep for a random time, because the moment is what the test varies. No event announces it."""
        select.select([], [], [], random.uniform(0, self.within))

    def ended(self):
        """Return the exit statuses as a figure."""
        return " and ".join(f"{times} with {status}" for status, times in sorted(self.statuses.items()))


class Terminated(Ending):
    def terminate(self, asking):
        """Run one round. With `asking`, polkit's answers are held back until the daemon has ended."""
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
        """Point 9: SIGTERM at any moment of Acquire calls: status 0, and each caller gets a true answer (I1, I9)."""
        self.within, count, tally = 1.2 * self.usual_seconds(), rounds(60, 1000), self.tally
        for number in range(count):
            self.terminate(asking=number % 4 == 3)
        self.host.no_trace()
        self.show(ends=count, how=self.ended(), acquires=tally.asked, given=tally.given, refused=tally.refused(),
                  unanswered=tally.nothing, incomplete=len(tally.lacking), taps_no_caller_received=len(tally.untold),
                  leases_forgotten_or_unknown=len(self.forgotten))
        self.assertEqual(self.statuses, {0: count})
        self.assertEqual((tally.nothing, tally.lacking, tally.untold, self.forgotten), (0, [], [], []))
        self.assertLessEqual(tally.errors().keys(), {error_name("Failed"), LEFT_UNREAD})
        # Some moments were before the answers, some between them, some after.
        self.assertGreater(min(tally.given, sum(tally.errors().values())), count / 2)


class BusGone(Ending):
    def lose_bus(self, told_to):
        """Run one round: end the bus during Acquire calls, by SIGTERM or SIGKILL, then start bus, polkit and daemon."""
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
        """Compare the answers, the kernel's leases and the new daemon's list. A lease by name may exist without an
        answer: its answer may have been lost with the bus."""
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
        """Point 9: when the bus ends, the daemon exits with 1 and says why; leases stay, the next one serves (I1)."""
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
