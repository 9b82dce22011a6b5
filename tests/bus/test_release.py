# SPDX-License-Identifier: MIT
"""Leases end on request or by themselves. An end is complete and affects nothing else."""

from tests.bus.ring import NO_LEASE, BusRing
from tests.lib import kernel


class Down(BusRing):
    def test_by_lease(self):
        """`down LEASE` returns when devices, addresses and routes are gone."""
        grant = self.up("alice", "--count", "3")
        self.ok("alice", "down", grant["lease"])
        self.host.no_trace()
        self.assertEqual(self.leases("alice"), [])

    def test_by_label(self):
        """`down LABEL` releases the lease of that label and no other."""
        self.up("alice", "--label", "one")
        other = self.up("alice", "--label", "two")
        self.ok("alice", "down", "one")
        self.assertEqual(self.leases("alice"), [other])

    def test_by_tap(self):
        """`down TAP` releases the whole lease that the tap belongs to."""
        self.up("alice", "--count", "2")
        other = self.up("alice")
        self.ok("alice", "down", "tap9")
        self.assertEqual(self.leases("alice"), [other])
        self.assertEqual(list(kernel.ours()), ["tap10"])

    def test_several_at_once(self):
        """`down` takes several leases, by different kinds of name, in one call."""
        one, _, _ = self.up("alice"), self.up("alice", "--label", "two"), self.up("alice", "--count", "2")
        third = self.leases("alice")
        tap = next(lease for lease in third if len(lease["taps"]) == 2)["taps"][1]["name"]
        self.ok("alice", "down", one["lease"], "two", tap)
        self.host.no_trace()

    def test_all(self):
        """`down --all` releases every lease of the caller and no other user's."""
        for label in ("a", "b", "c"):
            self.up("alice", "--label", label)
        theirs = self.up("bob", "--count", "2")
        self.ok("alice", "down", "--all")
        self.assertEqual(self.leases("root", "--all"), [theirs])
        self.assertEqual(sorted(kernel.ours()), ["tap8", "tap9"])

    def test_what_does_not_exist(self):
        """`down` of a lease, label or tap that does not exist gives status 8 and names it."""
        self.up("alice", "--label", "stays")
        for name in (NO_LEASE, "nolabel", "tap99"):
            with self.subTest(name=name):
                self.assert_refused(self.ctl("alice", "down", name), 8, name)
        self.assertEqual(len(self.leases("alice")), 1)

    def test_twice(self):
        """The second `down` of a lease gives status 8, not success."""
        grant = self.up("alice")
        self.ok("alice", "down", grant["lease"])
        self.assert_refused(self.ctl("alice", "down", grant["lease"]), 8, grant["lease"])

    def test_ambiguous_label(self):
        """`down` of a label that two leases have gives status 2, names both, and releases neither."""
        grants = [self.up("alice", "--label", "twin") for _ in range(2)]
        self.assert_refused(self.ctl("alice", "down", "twin"), 2, "twin", *[grant["lease"] for grant in grants])
        self.assert_refused(self.ctl("alice", "args", "twin"), 2, "twin")
        self.assertEqual(len(self.leases("alice")), 2)
        self.ok("alice", "down", grants[0]["lease"])
        self.ok("alice", "down", "twin")
        self.host.no_trace()

    def test_label_like_an_id(self):
        """A label that looks like a lease id is still a label."""
        self.up("alice", "--label", NO_LEASE)
        self.ok("alice", "down", NO_LEASE)
        self.host.no_trace()

    def test_label_like_a_tap(self):
        """`down` of a name that is a label and another lease's device gives status 2 and releases nothing."""
        self.up("alice")
        self.up("alice", "--label", "tap8")
        self.assert_refused(self.ctl("alice", "down", "tap8"), 2, "tap8")
        self.assertEqual(len(kernel.ours()), 2)

    def test_attached(self):
        """`down` deletes the tap even while a program has it open."""
        grant = self.up("alice")
        holder = self.run_stand_in("alice", alone=True)
        holder.tell("attach", "tap8", "0x5002")
        self.ok("alice", "down", grant["lease"])
        self.host.no_trace()

    def test_renamed(self):
        """A renamed tap is released by its ifindex; the device that now has its old name is left alone (I3)."""
        grant = self.up("alice")
        kernel.ip("link", "set", "tap8", "down")
        kernel.ip("link", "set", "tap8", "name", "renamed0")
        kernel.ip("tuntap", "add", "tap8", "mode", "tap")
        before = kernel.link("tap8")["ifindex"]
        self.ok("alice", "down", grant["lease"])
        self.assertIsNone(kernel.link("renamed0"))
        self.assertEqual(kernel.link("tap8")["ifindex"], before)

    def test_no_longer_ours(self):
        """A tap whose alias was cleared no longer belongs to a lease, and `down` leaves the device alone (I3)."""
        grant = self.up("alice")
        kernel.ip("link", "set", "tap8", "alias", "mine now")
        self.ctl("alice", "down", grant["lease"])
        self.assertEqual(kernel.link("tap8")["ifalias"], "mine now")


class IdleTimeout(BusRing):
    def test_units(self):
        """Idle timeouts can have a unit; the alias holds seconds."""
        for text, seconds in (("90", "90"), ("90s", "90"), ("15min", "900"), ("2h", "7200"), ("365d", "31536000")):
            with self.subTest(text=text):
                grant = self.up("alice", "--idle-timeout", text)
                self.assertEqual(kernel.alias_words(grant["taps"][0]["name"])["idle"], seconds)

    def test_never_opened(self):
        """A lease by name that no program opens ends after its idle timeout and not before."""
        self.up("alice", "--count", "2", "--idle-timeout", "1")
        took = kernel.seconds_until(kernel.absent("tap8", "tap9"))
        self.assertIsNotNone(took, "still there")
        self.assertGreater(took, 0.7)
        self.host.no_trace()
        self.assertEqual(self.leases("alice"), [])

    def test_opened_and_closed(self):
        """While one tap of a lease is in use the whole lease stays; the timeout restarts when it is closed."""
        # Not 1 s: the kernel reports a carrier that came up and went down as much as a second late.
        self.up("alice", "--count", "2", "--idle-timeout", "2")
        holder = self.run_stand_in("alice", alone=True)
        holder.tell("attach", "tap9", "0x5002")
        kernel.stays(kernel.present("tap8", "tap9"), 3, "the lease stays while in use")
        self.assertEqual(holder.end(), 0)
        took = kernel.seconds_until(kernel.absent("tap8", "tap9"))
        self.assertIsNotNone(took, "still there after it was closed")
        self.assertGreater(took, 1.7)
        self.host.no_trace()

    def test_without_timeout(self):
        """A lease by name without an idle timeout stays when its user closes the tap."""
        self.up("alice")
        holder = self.run_stand_in("alice", alone=True)
        holder.tell("attach", "tap8", "0x5002")
        holder.kill()
        kernel.stays(kernel.present("tap8"), 1.5, "the lease stays without a timeout")
        self.assertEqual(len(self.leases("alice")), 1)

    def test_survives_restart(self):
        """The kernel stores the idle timeout with the lease: a restarted daemon still ends it."""
        self.up("alice", "--idle-timeout", "2")
        self.host.daemon.kill()
        self.host.restart_daemon()
        self.assertTrue(kernel.present("tap8")())
        kernel.wait_for(kernel.absent("tap8"), "the idle lease ends after the restart")
        self.host.no_trace()


class Attach(BusRing):
    """Access to a tap held by name."""

    def test_owner_and_others(self):
        """Only the owner can open a tap held by name; other users get EPERM (I4)."""
        self.up("alice")
        owner, other = self.run_stand_in("alice", alone=True), self.run_stand_in("bob", alone=True)
        with self.assertRaises(PermissionError):
            other.tell("attach", "tap8", "0x5002")
        owner.tell("attach", "tap8", "0x5002")
        kernel.wait_for(lambda: "LOWER_UP" in kernel.link("tap8")["flags"], "carrier while attached")
        with self.assertRaises(PermissionError):
            other.tell("attach", "tap8", "0x5002")

    def test_as_qemu_opens_it(self):
        """Two queues attach as QEMU opens them, with IFF_MULTI_QUEUE; another user's queue is refused."""
        self.up("alice", "--queues", "2")
        owner, other = self.run_stand_in("alice", alone=True), self.run_stand_in("bob", alone=True)
        owner.tell("attach", "tap8", "0x5102")
        owner.tell("attach", "tap8", "0x5102")
        with self.assertRaises(PermissionError):
            other.tell("attach", "tap8", "0x5102")
        taps = [entry["tap"] for entry in owner.tell("descriptors").values() if entry["tap"]]
        self.assertEqual([tap["name"] for tap in taps], ["tap8", "tap8"])
