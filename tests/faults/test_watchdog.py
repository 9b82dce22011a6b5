# SPDX-License-Identifier: MIT
"""The service hangs, or its bus restarts, on a booted Debian with the packages installed. The shipped unit restarts the
service, and neither the leases nor the programs that hold taps notice."""

import signal
import time

from tests.faults.figures import FULL, Figures, rounds
from tests.lib import kernel
from tests.system import test_activation as activation  # as a module, or its tests would run here too
from tests.system.ring import HOLDER, UNIT

# In the full form: the shipped watchdog time, and how many seconds the service hangs. In the short form: less of both.
WATCHDOG, HANGS = ("30s", 40) if FULL else ("2s", 4)
EVERYONES = ("list", "--all", "--json")


class Back(Figures, activation.Life):
    """Leases of both holds, with one tap and with several, as the service, the kernel and the holder see them."""

    def setUp(self):
        super().setUp()
        if not FULL:
            self.drop_in(f"[Service]\nWatchdogSec={WATCHDOG}\n")
        self.up("alice")
        self.up("bob", "--count", "3", "--queues", "2")
        self.program = self.container.start("bob", "qemu-tapctl", "run", "--count", "2", "--queues", "2", "--", *HOLDER)
        self.addCleanup(self.program.wait)
        self.addCleanup(self.program.kill)
        self.container.wait_for(lambda: len(self.held()) == 4, "the program holds its descriptors")
        self.before = self.seen()

    def held(self):
        """Return the holder's descriptors and their taps, as the kernel shows them."""
        done = self.container.root("sh", "-c", 'grep -s "^iff:" /proc/"$1"/fdinfo/*', "sh", self.program.pid,
                                   check=False)
        return done.out.splitlines()

    def seen(self):
        return {"list": self.ok("root", *EVERYONES), "network": self.container.network(), "held": self.held()}

    def differences(self):
        """Return what differs from the state before: lists (0 or 1), links and descriptors."""
        now = self.seen()
        return (int(now["list"] != self.before["list"]),
                kernel.differences(self.before["network"], now["network"]),
                sorted(set(now["held"]) ^ set(self.before["held"])))

    def assert_ends_with_holder(self):
        """Require that the restarted service still ends the lease of a holder that ends."""
        self.program.kill()
        self.container.wait_for(lambda: len(self.leases("root", "--all")) == 2, "the lease ends with its holder")
        for user in ("alice", "bob"):
            self.ok(user, "down", "--all")
        self.assertEqual(self.container.taps(), [])


class Hung(Back):
    def test_hung(self):
        """Point 9: after SIGSTOP the watchdog restarts the service, and no lease or descriptor is lost (I1)."""
        self.assertEqual(self.container.show(UNIT, "WatchdogUSec"), WATCHDOG)
        old, start = self.container.main_pid(), time.monotonic()
        self.signal(signal.SIGSTOP)
        self.wait_until_new(old)
        took = time.monotonic() - start
        self.container.wait_for(lambda: time.monotonic() - start > HANGS, "the time of the hang is over")
        lists, links, descriptors = self.differences()
        self.show(hung_for=f"{HANGS} s", watchdog=WATCHDOG, back_after=f"{took:.1f} s", restarts=self.started(),
                  leases=len(self.leases("root", "--all")), lists_that_differ=lists, links_changed=len(links),
                  descriptors_lost=len(descriptors))
        self.assertEqual((lists, links, descriptors, self.started()), (0, [], [], 1))
        self.assertIn("Watchdog timeout", self.log())
        self.assert_ends_with_holder()


class BusRestarted(Back):
    def test_bus_restarted(self):
        """Point 9: after dbus.service restarts, the unit restarts the service; no lease or descriptor is lost (I1)."""
        count, seconds, lists, links, descriptors = rounds(2, 20), [], 0, [], []
        for _ in range(count):
            old, start = self.container.main_pid(), time.monotonic()
            # systemd's limit of starts for dbus.service is not under test here.
            self.container.root("systemctl", "reset-failed", "dbus.service")
            self.container.root("systemctl", "restart", "dbus.service")
            self.wait_until_new(old)
            seconds.append(time.monotonic() - start)
            differ, changed, lost = self.differences()
            lists, links, descriptors = lists + differ, links + changed, descriptors + lost
        self.show(bus_restarts=count, service_restarts=self.started(), back_after_at_most=f"{max(seconds):.1f} s",
                  leases=len(self.leases("root", "--all")), lists_that_differ=lists, links_changed=len(links),
                  descriptors_lost=len(descriptors))
        self.assertEqual((lists, links, descriptors, self.started()), (0, [], [], count))
        self.assertEqual(self.log().count("the bus is lost"), count)
        self.assert_ends_with_holder()
