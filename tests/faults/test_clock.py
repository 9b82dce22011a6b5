# SPDX-License-Identifier: MIT
"""The wall clock is set, as by the first contact with a time server or by mistake. The daemon must still do everything
that it does after some time after that time. The machine's clock is left alone: the real daemon runs with a preloaded
library that shifts CLOCK_REALTIME during the run. The library counts how often it returned a shifted time, which shows
that the jumps reached the daemon."""

import mmap
import os
import select
import struct
import threading
import time

import pytest

from tests.faults.acquires import Asked
from tests.faults.faults import FaultsRing, rounds
from tests.lib import furnish, kernel
from tests.lib.bus import Variant
from tests.lib.process import HANGS

pytestmark = pytest.mark.alone

YEARS = 10 * 365 * 86400
# What the library shares: the seconds to shift by, and how often it returned a right time, one ahead, and one behind.
SHARED = struct.Struct("=qqqq")
SHARED_FILE = f"{furnish.RIG}/shifted-clock"
# The idle exit must come later than the idle timeout, however late that is.
IDLE_TIMEOUT, IDLE_EXIT = 3.0, 3.0
# Seconds. The clock jumps by years. A small delay comes from a busy machine and not from the jumps.
EARLY, LATE = 0.1, HANGS
WATCHDOG = 6.0


class WallClock:
    """The daemon's wall clock, which the test sets."""

    def __init__(self):
        with open(SHARED_FILE, "w+b") as file:
            file.truncate(SHARED.size)
            self.shared = mmap.mmap(file.fileno(), SHARED.size)
        os.chmod(SHARED_FILE, 0o666)  # the daemon opens it after it has given up root

    def shift(self, seconds):
        struct.pack_into("=q", self.shared, 0, seconds)

    def given(self):
        """Return how often the daemon read the clock while it was right, ahead, and behind."""
        return SHARED.unpack_from(self.shared)[1:]


class Heard:
    """The service manager's side: receives the daemon's messages and records when each arrived. The daemon waits until
    its messages have been received."""

    def __init__(self, ear):
        self.ear = ear
        self.times = {}
        self.over, self.end = os.pipe()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self):
        while True:
            ready, _, _ = select.select([self.ear, self.over], [], [])
            if self.over in ready:
                return
            for word in self.ear.recv(4096).decode().splitlines():
                self.times.setdefault(word, []).append(time.monotonic())

    def close(self):
        os.write(self.end, b".")
        self.listener.join()
        os.close(self.over)
        os.close(self.end)


class Clock(FaultsRing):
    options = None

    def setUp(self):
        super().setUp()
        self.clock = WallClock()
        library = self.host.share(f"{self.host.build}/tests/faults/libshifted_clock.so")
        self.environment = {"LD_PRELOAD": library, "SHIFTED_CLOCK": SHARED_FILE,
                            "WATCHDOG_USEC": str(int(WATCHDOG * 1e6))}
        self.lists, self.idle, self.leaving, self.gaps, self.statuses, self.answered = [], [], [], [], [], 0

    def list_while(self, shifts, seconds):
        """Set the clock several times, evenly over so many seconds, and ask for a list after each time."""
        for seconds_off in shifts:
            self.clock.shift(seconds_off)
            start = time.monotonic()
            self.call(self.root, "List", "a{sv}", {})
            self.lists.append(time.monotonic() - start)
            select.select([], [], [], seconds / len(shifts))

    def live(self):
        """Run one daemon from start to idle exit, with an idle timeout and a pending authorisation meanwhile."""
        self.clock.shift(0)
        self.host.start_daemon(f"--idle-exit={IDLE_EXIT:.0f}", environment=self.environment)
        heard = Heard(self.host.notify)
        try:
            given = Asked(self.root, "root", (2, 1, "name"), **{"idle-timeout": Variant("t", int(IDLE_TIMEOUT))})
            self.assertEqual(given.fetch(), "given")
            start = time.monotonic()
            self.host.polkit.freeze()
            asked = Asked(self.alice, "alice", (1, 2, "fd"))
            self.list_while((YEARS, -YEARS, 0, -YEARS, YEARS), IDLE_TIMEOUT / 2)
            self.host.polkit.thaw()
            self.answered += asked.fetch() == "given"
            asked.let_go()
            self.list_while((-YEARS,), 0)
            took = kernel.seconds_until(kernel.absent(*given.names()), IDLE_TIMEOUT + LATE)
            self.idle.append(time.monotonic() - start if took is not None else float("inf"))
            self.list_while((YEARS,), 0)
            start = time.monotonic()
            self.statuses.append(self.host.daemon.wait())
            self.leaving.append(time.monotonic() - start)
        finally:
            heard.close()
        beats = heard.times.get("WATCHDOG=1", [])
        self.gaps += [later - earlier for earlier, later in zip(beats, beats[1:])]

    def test_set_back_and_forth(self):
        """Point 9: idle timeouts, answers and the idle exit keep their time while the clock jumps ten years."""
        count = rounds(1, 20)
        self.root, self.alice = self.host.connect("root"), self.host.connect("alice")
        self.addCleanup(self.root.close)
        self.addCleanup(self.alice.close)
        for _ in range(count):
            self.live()
        self.host.no_trace()
        right, ahead, behind = self.clock.given()
        self.show(jumps=len(self.lists), right_times_read=right, ten_years_ahead=ahead, ten_years_behind=behind,
                  slowest_list=f"{max(self.lists) * 1000:.0f} ms",
                  idle_timeouts_of_3_s_took=f"{min(self.idle):.2f} to {max(self.idle):.2f} s",
                  idle_exits_of_3_s_took=f"{min(self.leaving):.2f} to {max(self.leaving):.2f} s",
                  longest_between_heartbeats=f"{max(self.gaps):.2f} s of {WATCHDOG:.0f}",
                  pending_acquires_answered=f"{self.answered} of {count}")
        self.assertGreaterEqual(min(right, ahead, behind), count, "a jump did not reach the daemon")
        self.assertEqual((self.answered, self.statuses), (count, [0] * count))
        self.assertLess(max(self.lists), LATE)
        self.assertGreater(min(self.idle), IDLE_TIMEOUT - EARLY)
        self.assertLess(max(self.idle), IDLE_TIMEOUT + LATE)
        self.assertGreater(min(self.leaving), IDLE_EXIT - EARLY)
        self.assertLess(max(self.leaving), IDLE_EXIT + LATE)
        self.assertLess(max(self.gaps), WATCHDOG)
