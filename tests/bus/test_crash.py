# SPDX-License-Identifier: MIT
"""The daemon dies at a bad moment, or finds the remains of a crash. The kernel is the lease store: a new daemon knows
every lease, removes incomplete ones, and touches no foreign device (I1, I3)."""

import random
import subprocess
import time

from tests.bus.ring import NO_LEASE, BusRing, half_made_lease, tag, tag_as_version_1
from tests.lib import kernel, users


class Restart(BusRing):
    def test_list_is_the_same(self):
        """After SIGKILL with leases of both holds, `list --json` prints byte for byte the same (I1)."""
        holder = self.run_stand_in("alice", "--count", "2", "--queues", "2", "--label", "running")
        self.up("alice", "--count", "3", "--label", "named", "--idle-timeout", "3600")
        self.up("alice", "--queues", "4", "--device", "e1000")
        self.up("bob", "--count", "2")
        before = {user: self.ok(user, "list", "--json") for user in ("alice", "bob")}
        everyone, devices = self.ok("root", "list", "--json", "--all"), kernel.snapshot()
        self.host.daemon.kill()
        self.assertEqual(kernel.snapshot(), devices)
        self.host.restart_daemon()
        self.assertEqual({user: self.ok(user, "list", "--json") for user in ("alice", "bob")}, before)
        self.assertEqual(self.ok("root", "list", "--json", "--all"), everyone)
        self.assertEqual(kernel.snapshot(), devices)
        self.assertEqual(sum(bool(entry["tap"]) for entry in holder.tell("descriptors").values()), 4)

    def test_no_collision_after_restart(self):
        """A restarted daemon gives nothing that an earlier lease already has (I2)."""
        first = self.up("alice", "--count", "2")
        self.host.daemon.kill()
        self.host.restart_daemon()
        second = self.up("alice", "--count", "2")
        self.assert_grant(second, "alice", [10, 11])
        self.assertEqual(self.leases("alice"), [first, second])

    def test_limits_after_restart(self):
        """After a restart the limit per user counts the leases from before (I8)."""
        self.up("alice", "--count", "31")
        self.host.daemon.kill()
        self.host.restart_daemon()
        self.assert_refused(self.ctl("alice", "up", "--count", "2"), 6, "32")
        self.up("alice")

    def test_release_after_restart(self):
        """After a restart earlier leases can be released by label and by device."""
        self.up("alice", "--count", "2", "--label", "old")
        self.up("alice")
        self.host.daemon.kill()
        self.host.restart_daemon()
        self.ok("alice", "down", "old", next(iter(kernel.ours().keys() - self.tap_names("old"))))
        self.host.no_trace()

    def tap_names(self, label):
        return {tap["name"] for lease in self.leases("alice") if lease["label"] == label for tap in lease["taps"]}

    def test_killed_at_any_moment(self):
        """Killed again and again during requests, the daemon leaves no leases or complete ones (I1)."""
        for round_number in range(8):
            callers = [self.host.ctl_start(user, "up", "--count", "4", stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL) for user in ("alice", "bob", "carol")]
            # The random delay is what the test varies: no event marks a moment during a request.
            time.sleep(random.uniform(0.005, 0.06))
            self.host.daemon.kill()
            for caller in callers:
                caller.wait()
            self.host.restart_daemon()
            leases = self.leases("root", "--all")
            with self.subTest(round=round_number, leases=len(leases)):
                self.assertTrue(all(len(lease["taps"]) == 4 for lease in leases), leases)
                self.assertEqual(sorted(kernel.ours()),
                                 sorted(tap["name"] for lease in leases for tap in lease["taps"]))
            if leases:
                self.ok("root", "down", *[lease["lease"] for lease in leases])
            self.host.no_trace()


class Sweep(BusRing):
    def test_incomplete_lease(self):
        """A lease that lost a tap while no daemon ran is removed at the next start (I1, I9)."""
        self.up("alice", "--count", "3")
        whole = self.up("bob", "--count", "2")
        self.host.daemon.kill()
        kernel.ip("link", "delete", "tap9")
        self.host.restart_daemon()
        kernel.wait_for(kernel.absent("tap8", "tap10"), "the rest of the lease is removed")
        self.assertEqual(self.leases("root", "--all"), [whole])
        self.assertEqual(sorted(kernel.ours()), ["tap11", "tap12"])

    def test_half_made_lease(self):
        """A tap of this service whose siblings were never made is removed at the next start (I1)."""
        self.host.daemon.kill()
        half_made_lease("tap40")
        self.host.restart_daemon()
        kernel.wait_for(kernel.absent("tap40"), "the incomplete lease is removed")
        self.host.no_trace()

    def test_half_made_lease_of_version_1(self):
        """A tap whose siblings were never made is removed too if its alias is of an earlier version (I1)."""
        self.host.daemon.kill()
        half_made_lease("tap40", version=1)
        self.host.restart_daemon()
        kernel.wait_for(kernel.absent("tap40"), "the incomplete lease is removed")
        self.host.no_trace()

    def test_persistent_descriptor_lease(self):
        """A tap that its holder made persistent and closed while no daemon ran is removed at the next start (I6)."""
        holder = self.run_stand_in("alice", "--count", "2")
        self.host.daemon.kill()
        for number in (0, 1):
            holder.tell("persist", holder.fds(number)[0], 1)
        holder.kill()
        self.assertTrue(kernel.present("tap8", "tap9")())
        self.host.restart_daemon()
        kernel.wait_for(kernel.absent("tap8", "tap9"), "the abandoned taps are removed")
        self.host.no_trace()


class Upgrade(BusRing):
    """The daemon is replaced by a newer version, which writes aliases of another form."""

    def as_version_1(self, *names):
        self.host.daemon.kill()
        for name in names:
            tag_as_version_1(name)
        self.before = {name: kernel.link(name) for name in names}
        self.host.restart_daemon()

    def test_leases_stay(self):
        """Leases with aliases of version 1 stay unchanged, and the daemon does not rewrite the aliases."""
        named = self.up("alice", "--count", "2", "--label", "web", "--idle-timeout", "600")
        holder = self.run_stand_in("bob", "--queues", "2")
        (held,) = self.leases("bob")
        names = [tap["name"] for lease in (named, held) for tap in lease["taps"]]
        self.as_version_1(*names)
        self.assertEqual(self.leases("alice"), [named])
        self.assertEqual(self.leases("bob"), [held])
        for name, link in self.before.items():
            self.assertEqual(kernel.link(name), link)
        self.assertEqual([tap["index"] for tap in self.up("alice")["taps"]], [9])
        holder.kill()
        kernel.wait_for(kernel.absent("tap8"), "the lease by descriptors ends")
        self.ok("alice", "down", named["lease"])
        self.assertEqual(sorted(kernel.ours()), ["tap9"])

    def test_ends_by_its_alias(self):
        """A lease with an alias of version 1 ends by its idle timeout."""
        self.up("alice", "--idle-timeout", "1")
        self.as_version_1("tap8")
        kernel.wait_for(kernel.absent("tap8"), "the idle lease ends")

    def test_both_versions_in_a_lease(self):
        """A lease is complete even if its aliases have different versions."""
        grant = self.up("alice", "--count", "2")
        self.as_version_1("tap9")
        self.assertEqual(self.leases("alice"), [grant])
        self.ok("alice", "down", grant["lease"])
        self.host.no_trace()


class Foreign(BusRing):
    """Foreign devices that look like this service's."""

    def assert_untouched(self, *names):
        for name in names:
            self.assertEqual(kernel.link(name), self.before[name], f"{name} was changed or deleted")

    def test_copied_alias(self):
        """A foreign tap with a copied alias of this service's tap is never listed, changed or deleted (I3)."""
        grant = self.up("alice", "--count", "2")
        for copy, original in (("mine0", "tap8"), ("mine1", "tap9")):
            kernel.ip("tuntap", "add", copy, "mode", "tap")
            kernel.ip("link", "set", copy, "alias", kernel.link(original)["ifalias"])
            kernel.ip("link", "set", copy, "group", str(kernel.GROUP))
        self.before = kernel.links()
        self.assertEqual(self.leases("alice"), [grant])
        self.host.daemon.kill()
        self.host.restart_daemon()
        self.assertEqual(self.leases("alice"), [grant])
        self.assert_untouched("mine0", "mine1")
        self.ok("alice", "down", grant["lease"])
        self.assertEqual(sorted(kernel.links()), ["lo", "mine0", "mine1"])
        self.assert_untouched("mine0", "mine1")

    def test_other_kinds(self):
        """A device of another kind is left alone, even with a valid alias of an incomplete lease (I3)."""
        self.host.daemon.kill()
        kernel.ip("link", "add", "br0", "type", "bridge")
        kernel.ip("tuntap", "add", "tun0", "mode", "tun")
        for name in ("br0", "tun0"):
            tag(name)
        self.before = kernel.links()
        self.host.restart_daemon()
        self.assertEqual(self.leases("root", "--all"), [])
        self.up("alice")
        self.ok("alice", "down", "--all")
        self.assert_untouched("br0", "tun0")

    def test_broken_aliases(self):
        """Aliases that only begin like the service's do not stop the daemon from starting; the devices stay (I3)."""
        self.host.daemon.kill()
        aliases = ["qemu-tap1", "qemu-tap1 ", "qemu-tap1 lease=x", "qemu-tap1 lease=" + "0" * 16, "qemu-tap1" * 25,
                   f"qemu-tap1 lease={NO_LEASE} tap=0/0 index=7 ifindex=0 uid=0 hold=name mac= queues=0 vhost=0 idle= "
                   "label=", "qemu-tap1 lease=" + "\u00fc" * 16, "qemu-tap2 lease=" + NO_LEASE,
                   "qemu-tap2", "qemu-tap2 ", "qemu-tap2 i=x", "qemu-tap2 i=" + "0" * 16, "qemu-tap2" * 25,
                   f"qemu-tap2 i={NO_LEASE} t=0/0 x=7 d=0 u=0 h=n m= q=0", "qemu-tap2 i=" + "\u00fc" * 16,
                   "qemu-tap3 i=" + NO_LEASE]
        for number, alias in enumerate(aliases):
            kernel.ip("tuntap", "add", f"odd{number}", "mode", "tap")
            kernel.ip("link", "set", f"odd{number}", "alias", alias)
        self.before = kernel.links()
        self.host.restart_daemon()
        self.assertEqual(self.leases("root", "--all"), [])
        self.ok("alice", "down", self.up("alice")["lease"])
        self.assert_untouched(*(f"odd{number}" for number in range(len(aliases))))

    def test_same_group(self):
        """Foreign devices in the service's link group survive every deletion by the service (I3)."""
        kernel.ip("tuntap", "add", "mine0", "mode", "tap")
        kernel.ip("link", "set", "mine0", "group", str(kernel.GROUP))
        self.before = kernel.links()
        self.up("alice", "--count", "8")
        self.ok("alice", "down", "--all")
        self.assert_untouched("mine0")


class LostEvents(BusRing):
    def test_overflow(self):
        """A holder that floods the daemon until the kernel drops events (ENOBUFS) hides no change from it (I2, I8)."""
        first = self.up("bob")
        holder = self.run_stand_in("alice")
        self.host.daemon.freeze()
        holder.tell("flood", holder.fds(0)[0], users.USERS["alice"], 60_000)
        # The kernel no longer announces the following changes to the daemon.
        kernel.ip("tuntap", "add", "lan0", "mode", "tun")
        kernel.ip("address", "add", "192.168.10.1/24", "dev", "lan0")
        kernel.ip("tuntap", "add", "tap11", "mode", "tap")
        kernel.ip("link", "delete", "tap8")
        with open("/proc/net/netlink", encoding="ascii") as file:
            rows = [line.split() for line in file.read().splitlines()]
        self.assertGreater(max(int(row[rows[0].index("Drops")]) for row in rows[1:]), 0, "nothing was dropped")
        self.host.daemon.thaw()
        self.assertEqual(self.leases("bob"), [])
        self.assert_refused(self.ctl("bob", "down", first["lease"]), 8, first["lease"])
        self.assertEqual([tap["index"] for tap in self.up("bob", "--count", "3")["taps"]], [8, 12, 13])
        holder.kill()
        kernel.wait_for(kernel.absent("tap9"), "the flooding holder's lease ends")


class TwoDaemons(BusRing):
    def test_second_daemon(self):
        """A second daemon on the same bus ends with an error; the first daemon and its leases are not affected."""
        grant = self.up("alice")
        done = self.host.failing_daemon()
        self.assertNotEqual(done.status, 0)
        self.assertIn("org.qemutap1", done.err)
        self.assertTrue(self.host.daemon.alive())
        self.assertEqual(self.leases("alice"), [grant])

    def test_first_does_not_answer(self):
        """A daemon that hangs loses its name to a second daemon and ends when it continues; leases stay (I1)."""
        grant, first = self.up("alice"), self.host.daemon
        self.addCleanup(first.close)
        first.freeze()
        self.host.start_daemon()
        self.assertIn("does not answer", self.host.daemon.log())
        self.assertEqual(self.leases("alice"), [grant])
        first.thaw()
        self.assertEqual(first.wait(), 1)
        self.assertIn("another process has taken the bus name", self.host.daemon.log())
        self.assertEqual(self.leases("alice"), [grant])
        self.ok("alice", "down", grant["lease"])
