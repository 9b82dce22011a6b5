# SPDX-License-Identifier: MIT
"""The daemon lacks something that it needs: descriptors, write access to /proc/sys, or polkit. It reports what is
wrong, never gives an incomplete lease, and serves again as soon as it can."""

import os
import random
import resource

from tests.bus import test_hostile_callers as hostile
from tests.faults.acquires import FEW_TAPS, KINDS, Asked, Tally
from tests.faults.faults import FULL, FaultsRing, descriptors_at_rest, error_name, rounds
from tests.lib import furnish, kernel
from tests.lib.bus import BUS, BusError, Variant
from tests.lib.host import BUS_POLICY, POLKIT_NAME

# dbus-daemon queues at most 64 descriptors for a client that does not read, and drops a message with more.
UNREAD = 4
STRAY = 8
IPV6 = "/proc/sys/net/ipv6"
DEFAULT = f"{IPV6}/conf/default/disable_ipv6"


def in_mounts_of_its_own(*commands):
    """Return the words that start a daemon with a file system view of its own."""
    script = " && ".join([*commands, 'exec "$@"'])
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")


READ_ONLY = in_mounts_of_its_own("mount --bind /proc/sys /proc/sys", "mount -o remount,bind,ro /proc/sys")
HIDDEN = in_mounts_of_its_own(f"mount -t tmpfs tmpfs {IPV6}")


class Environment(FaultsRing):
    def connections(self, user, count):
        found = [self.host.connect(user) for _ in range(count)]
        for bus in found:
            self.addCleanup(bus.close)
        return found

    def open_files(self):
        return descriptors_at_rest(self.host.daemon.pid)

    def ask_all(self, user, tally):
        """Acquire a lease of each kind, one after the other, and give each back before the next."""
        with self.host.connect(user) as bus:
            for kind in KINDS:
                asked = [Asked(bus, user, kind)]
                tally.count(asked)
                self.give_back(asked)

    def give_back(self, asked):
        """Give back everything that the callers have, and require that nothing is left."""
        for one in asked:
            one.let_go()
        with self.host.connect() as root:
            for one in asked:
                one.release(root)
        kernel.wait_for(lambda: not kernel.ours(), "the leases end with their callers")
        self.host.no_trace()

    def assert_all_given(self, tally, times=1):
        """Require so many complete leases of each kind, and no other outcome."""
        self.assertEqual((tally.outcomes, tally.lacking, tally.untold), ({"given": times * len(KINDS)}, [], []))


class DescriptorLimit(Environment):
    options = ("--prefix-length=30", "--max-taps-per-user=4096", "--max-taps=8192")

    def setUp(self):
        super().setUp()
        # The limit of this process, which holds the descriptors of all callers.
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        self.callers = {user: self.connections(user, count)
                        for user, count in (("root", 3), ("alice", 2), ("bob", 2), ("carol", 2), ("dave", 1))}

    def limit(self, count):
        self.host.daemon.limit_descriptors(count, 64)

    def ask(self):
        """Send several Acquire calls of random kinds from each caller, and read none of the answers."""
        asked = [Asked(bus, user, random.choice(FEW_TAPS)) for user, connections in self.callers.items()
                 for bus in connections for _ in range(UNREAD)]
        for connections in self.callers.values():
            for bus in connections:
                bus.call(*BUS[:2], f"{BUS[2]}.GetId")
        return asked

    def send_stray(self):
        """Send descriptors that no method takes, with calls that the daemon will refuse."""
        (bus,) = self.callers["dave"]
        with open("/dev/null", "rb") as null:
            for _ in range(STRAY):
                hostile.Descriptors.send_with(bus, [null.fileno()] * 16, "Acquire", "ua{sv}", 1, {})

    def try_with(self, limit, tally, pending=False, stray=False):
        """Send all calls at once. With `pending`, polkit answers only after all of them are sent (root needs none)."""
        self.limit(limit)
        if pending:
            self.host.polkit.freeze()
        if stray:
            self.send_stray()
        asked = self.ask()
        if pending:
            self.call(self.callers["root"][0], "List", "a{sv}", {})
            self.host.polkit.thaw()
        tally.count(asked)
        self.give_back(asked)

    def test_limit(self):
        """Point 9: with 64 descriptors or fewer, Acquire gives a lease or a named error, and leaks nothing (I9)."""
        ample, scarce, after = Tally(), Tally(), Tally()
        self.try_with(64, ample)  # the daemon opens some of its descriptors only when it first needs them
        pid, before = self.host.daemon.pid, self.open_files()
        for number in range(rounds(1, 20)):
            self.try_with(64, ample, pending=number % 2 == 0, stray=True)
        for limit in range(min(before + 40, 64), before - 1, -1) if FULL else (before + 17, before + 3, before):
            self.try_with(limit, scarce, pending=random.random() < 0.5)
        self.limit(64)
        self.ask_all("alice", after)
        self.show(acquires_with_64_descriptors=ample.asked, given=ample.given, refused=ample.refused(),
                  acquires_with_fewer=scarce.asked, given_then=scarce.given, refused_then=scarce.refused(),
                  unanswered=ample.nothing + scarce.nothing, incomplete=len(ample.lacking + scarce.lacking),
                  taps_no_caller_received=len(ample.untold + scarce.untold), left=self.open_files() - before)
        for tally in (ample, scarce):
            self.assertEqual((tally.nothing, tally.lacking, tally.untold, tally.unnamed()), (0, [], [], {}))
        self.assertGreater(ample.given, 0)
        self.assertIn(error_name("HostRefused"), scarce.outcomes, "no limit was met")
        self.assert_all_given(after)
        self.assertEqual((self.host.daemon.pid, self.host.daemon.alive(), self.open_files()), (pid, True, before))


class ProcSys(Environment):
    options = None

    def setUp(self):
        super().setUp()
        with open(DEFAULT, encoding="ascii") as file:
            self.addCleanup(self.set_default, file.read())

    @staticmethod
    def set_default(text):
        with open(DEFAULT, "w", encoding="ascii") as file:
            file.write(text)

    def try_with(self, default):
        """Acquire leases of each kind where /proc/sys is read-only, and where its IPv6 part is missing."""
        self.set_default(default)
        tally = Tally()
        for under in (READ_ONLY, HIDDEN):
            self.host.start_daemon(under=under)
            self.ask_all("alice", tally)
            self.host.stop_daemon()
        return tally

    def test_off_by_default(self):
        """Point 9: with /proc/sys read-only and IPv6 off by default, every lease is given, without IPv6."""
        tally = self.try_with("1")
        self.show(acquires=tally.asked, given=tally.given, refused=tally.refused(), incomplete=len(tally.lacking),
                  taps_with_IPv6=tally.taps_with_ipv6)
        self.assert_all_given(tally, 2)
        self.assertEqual(tally.taps_with_ipv6, 0)

    def test_on_by_default(self):
        """Point 9: with /proc/sys read-only and IPv6 on by default, HostRefused says what to do; no trace (I9)."""
        tally = self.try_with("0")
        helpful = [text for text in tally.texts if "tap8" in text and "net.ipv6.conf.default.disable_ipv6=1" in text]
        self.show(acquires=tally.asked, given=tally.given, refused=tally.refused(),
                  of_these_saying_what_to_do=len(helpful), taps_left=len(tally.untold))
        self.assertEqual((tally.outcomes, tally.untold), ({error_name("HostRefused"): 2 * len(KINDS)}, []))
        self.assertEqual(helpful, tally.texts)
        read_only = [text for text in tally.texts if "Read-only file system" in text]
        self.assertEqual(len(read_only), len(KINDS), tally.texts)


class NoPolkit(Environment):
    def without_it(self, tally, place=None):
        """Call Release and List of all (both refused), and Acquire of each kind, as a user; Acquire as root, served."""
        with self.host.connect("alice") as bus:
            standing = self.call(bus, "Acquire", "ua{sv}", 1, {"hold": Variant("s", "name")})[0]
            self.host.stop_polkit()
            if place:
                place()
            for call in (("Release", "s", standing), ("List", "a{sv}", {"all": Variant("b", True)})):
                with self.assertRaises(BusError) as caught:
                    self.call(bus, *call)
                self.errors.append(caught.exception)
            self.assertEqual([one["lease"] for one in self.call(bus, "List", "a{sv}", {})[0]], [standing])
        self.ok("root", "down", standing)
        self.ask_all("alice", tally)
        self.assert_refused(self.ctl("alice", "up"), 5, "is polkit installed and running")
        self.ask_all("root", self.of_root)
        self.host.start_polkit()

    def place_service(self):
        """Make polkit look installed but unable to run: the program that the bus starts in its name exits at once."""
        services, link = f"{furnish.RIG}/services", f"{BUS_POLICY}/services.conf"
        os.makedirs(services, exist_ok=True)
        for path, text in ((f"{services}/{POLKIT_NAME}.service",
                            f"[D-BUS Service]\nName={POLKIT_NAME}\nExec=/bin/false\nUser=root\n"),
                           (link, f"<busconfig><servicedir>{services}</servicedir></busconfig>\n")):
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
        self.addCleanup(self.reload_bus)
        self.addCleanup(os.unlink, link)
        self.reload_bus()

    def reload_bus(self):
        with self.host.connect() as bus:
            bus.call(*BUS[:2], f"{BUS[2]}.ReloadConfig")

    def test_no_polkit(self):
        """Point 9: without a running polkit users get AuthorityUnavailable (exit status 5); root is served (I7, I9)."""
        self.errors, self.of_root, tally, after = [], Tally(), Tally(), Tally()
        self.without_it(tally)
        self.without_it(tally, self.place_service)
        self.ask_all("alice", after)
        texts = tally.texts + [error.text for error in self.errors]
        unavailable = error_name("AuthorityUnavailable")
        self.show(acquires_of_a_user=tally.asked, given=tally.given, refused=tally.refused(),
                  taps_left=len(tally.untold), releases_and_lists=len(self.errors),
                  done=sum(error.name != unavailable for error in self.errors), acquires_of_root=self.of_root.asked,
                  given_to_root=self.of_root.given, acquires_with_polkit_back=after.asked, given_then=after.given)
        self.assertEqual((tally.outcomes, tally.untold), ({unavailable: 2 * len(KINDS)}, []))
        self.assertEqual([error.name for error in self.errors], [unavailable] * 4)
        self.assertEqual([text for text in texts if "is polkit installed and running" not in text], [])
        self.assert_all_given(self.of_root, 2)
        self.assert_all_given(after)
