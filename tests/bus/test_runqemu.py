# SPDX-License-Identifier: MIT
"""Leases by runqemu's address rule: the first tap is one that Yocto's runqemu-ifup could have made, under a name of the
lease's own, beside standard leases and beside taps that runqemu itself made."""

import os

from tests.bus.ring import BusRing, error_name
from tests.lib import kernel, users
from tests.lib.bus import BusError, Variant

RUNQEMU = {"hold": Variant("s", "name"), "profile": Variant("s", "runqemu")}
PAIRS = 127


def foreign(name, number):
    """Makes a tap as runqemu-ifup does."""
    kernel.ip("tuntap", "add", name, "mode", "tap")
    kernel.ip("addr", "add", f"192.168.7.{2 * number + 1}/32", "broadcast", "192.168.7.255", "dev", name)
    kernel.ip("link", "set", "dev", name, "up")
    kernel.ip("route", "add", "to", f"192.168.7.{2 * number + 2}", "dev", name)


class RunqemuRing(BusRing):
    def setUp(self):
        super().setUp()
        self.bus = self.host.connect("alice")
        self.addCleanup(self.bus.close)

    def acquire(self, count=1, bus=None, **options):
        options = {**RUNQEMU, **options}
        lease, taps, _ = self.call(bus or self.bus, "Acquire", "ua{sv}", count, options)
        return lease, taps

    def assert_first(self, lease, tap, number, user="alice"):
        """Expects that the tap is number N by runqemu's rule, in the daemon's answer and in the kernel."""
        name, gateway, client = f"rq{lease[:8]}t{number}", f"192.168.7.{2 * number + 1}", f"192.168.7.{2 * number + 2}"
        byte = tap["mac"][9:11]
        self.assertEqual(tap, {"name": name, "index": number, "gateway": gateway, "client": client, "guest": client,
                               "prefix-length": 32, "mac": f"52:54:01:{byte}:00:{number:02x}", "queues": 1,
                               "vhost": False})
        self.assert_device({**tap, "prefix_length": 32}, user)
        (route,) = [route for route in kernel.routes() if f'"dst": "{client}"' in route]
        self.assertIn(f'"dev": "{name}"', route)


class Taps(RunqemuRing):
    def test_side_by_side(self):
        """Two leases by runqemu's rule and standard ones of two users share nothing and leave nothing behind."""
        first, (tap,) = self.acquire()
        standard = self.up("alice")
        second, taps = self.acquire(3)
        others = self.up("bob")
        self.assert_first(first, tap, 0)
        self.assert_first(second, taps[0], 1)
        self.assert_grant(standard, "alice", [8])
        self.assertEqual([entry["name"] for entry in taps[1:]], ["tap9", "tap10"])
        self.assert_grant(others, "bob", [11])
        listed = {lease["lease"]: lease["taps"] for lease in self.call(self.bus, "List", "a{sv}", {})[0]}
        self.assertEqual((listed[first], listed[second]), ([tap], taps))
        self.ok("alice", "down", first, second, standard["lease"])
        self.ok("bob", "down", others["lease"])
        self.host.no_trace()

    def test_runqemus_own(self):
        """A tap that runqemu made is avoided by its addresses, not by its name, and stays unchanged."""
        foreign("tap0", 0)
        foreign("mine3", 3)
        self.host.mark()
        before = kernel.links()
        lease, (tap,) = self.acquire()
        self.assert_first(lease, tap, 1)
        found = [self.acquire() for _ in range(2)]
        self.assertEqual([taps[0]["index"] for _, taps in found], [2, 4])
        self.ok("alice", "down", "--all")
        self.host.no_trace()
        self.assertEqual(kernel.links(), before)

    def test_network_in_use(self):
        """If the host uses runqemu's network otherwise no lease is given (status 7), and the error names the device."""
        kernel.ip("tuntap", "add", "lan0", "mode", "tun")
        kernel.ip("addr", "add", "192.168.7.77/24", "dev", "lan0")
        self.host.mark()
        with self.assertRaises(BusError) as caught:
            self.acquire()
        self.assertEqual(caught.exception.name, error_name("PoolExhausted"))
        for word in ("runqemu", "192.168.7.0/24", "lan0", "192.168.7.77/24"):
            self.assertIn(word, caught.exception.text)
        self.host.no_trace()

    def test_label(self):
        """The same label gets the same addresses and MAC again; the device name differs in each lease."""
        label = {"label": Variant("s", "image")}
        first, (tap,) = self.acquire(**label)
        self.ok("alice", "down", "image")
        self.acquire()
        second, (again,) = self.acquire(**label)
        self.assertGreater(tap["index"], 0, "this label leads to what is lowest anyway")
        self.assertEqual({**again, "name": ""}, {**tap, "name": ""})
        self.assertNotEqual(first[:8], second[:8])
        self.assert_first(second, again, tap["index"])

    def test_restart(self):
        """A restarted daemon lists the lease unchanged, gives its address pair to no other, and ends it on request."""
        lease, taps = self.acquire(2, label=Variant("s", "image"))
        other, (tap,) = self.acquire()
        before, devices = self.call(self.bus, "List", "a{sv}", {}), kernel.snapshot()
        self.host.daemon.kill()
        self.host.restart_daemon()
        self.assertEqual(self.call(self.bus, "List", "a{sv}", {}), before)
        self.assertEqual(kernel.snapshot(), devices)
        third, (new,) = self.acquire()
        self.assertNotIn(new["index"], (taps[0]["index"], tap["index"]))
        self.ok("alice", "down", lease, other, third)
        self.host.no_trace()

    def test_descriptors(self):
        """A lease by runqemu's rule and descriptors has the same addresses, and ends with its descriptors."""
        lease, taps, descriptors = self.call(self.bus, "Acquire", "ua{sv}", 1, {"profile": RUNQEMU["profile"]})
        self.assert_first(lease, taps[0], 0)
        self.assertEqual(len(descriptors), 1)
        self.bus.close()
        for descriptor in descriptors:
            os.close(descriptor)
        kernel.wait_for(kernel.absent(taps[0]["name"]), "the lease ends with its descriptor")
        self.host.no_trace()

    def test_idle_and_attended(self):
        """A lease by runqemu's rule ends by its idle timeout and with its attended caller, like every lease."""
        with self.host.connect("alice") as other:
            _, (idle,) = self.acquire(**{"idle-timeout": Variant("t", 1)})
            _, (left,) = self.acquire(bus=other, attended=Variant("b", True))
            kernel.wait_for(kernel.absent(idle["name"]), "the idle lease ends")
            self.assertTrue(kernel.present(left["name"])())
        kernel.wait_for(kernel.absent(left["name"]), "the attended lease ends")
        self.host.no_trace()

    def test_no_longer_whole(self):
        """If one tap of the lease is deleted by another program, the rest of the lease ends too (I1)."""
        _, taps = self.acquire(2)
        kernel.ip("link", "delete", taps[0]["name"])
        kernel.wait_for(kernel.absent(taps[1]["name"]), "the rest of the lease ends")
        self.host.no_trace()


class Exhausted(RunqemuRing):
    options = ("--max-taps-per-user", "200")

    def test_all_taken(self):
        """After 127 distinct address pairs a request is refused (status 7), and standard leases are still given."""
        found = [self.acquire() for _ in range(PAIRS)]
        self.assertEqual([taps[0]["index"] for _, taps in found], list(range(PAIRS)))
        self.assertEqual(len({taps[0]["name"].rstrip("0123456789") for _, taps in found}), PAIRS)
        self.assertEqual(len({taps[0]["mac"] for _, taps in found}), PAIRS)
        self.assert_first(found[-1][0], found[-1][1][0], PAIRS - 1)
        with self.assertRaises(BusError) as caught:
            self.acquire()
        self.assertEqual(caught.exception.name, error_name("PoolExhausted"))
        self.assertIn("none of the 127 in 192.168.7.0/24 may be had", caught.exception.text)
        self.assertEqual(len(kernel.ours()), PAIRS)
        self.assertEqual(self.up("alice")["taps"][0]["name"], "tap8")
        self.ok("alice", "down", found[40][0])
        self.assertEqual(self.acquire()[1][0]["index"], 40)
        before = self.call(self.bus, "List", "a{sv}", {})
        self.host.daemon.kill()
        self.host.restart_daemon(*self.options)
        self.assertEqual(self.call(self.bus, "List", "a{sv}", {}), before)
        self.ok("alice", "down", "--all")
        self.host.no_trace()


class Foreigners(RunqemuRing):
    def test_excluded(self):
        """An exclusion inside runqemu's network applies; the one that keeps standard leases out of it does not."""
        self.host.restart_daemon("--exclude", "192.168.7.0/24", "--exclude", "192.168.7.0/29")
        lease, (tap,) = self.acquire()
        # 192.168.7.7 is the gateway of tap 3.
        self.assert_first(lease, tap, 4)

    def test_owner(self):
        """Only the owner can open a tap by runqemu's rule (I4)."""
        _, (tap,) = self.acquire()
        owner, other = self.run_stand_in("alice", alone=True), self.run_stand_in("bob", alone=True)
        with self.assertRaises(PermissionError):
            other.tell("attach", tap["name"], "0x5002")
        owner.tell("attach", tap["name"], "0x5002")
        self.assertEqual(kernel.alias_words(tap["name"])["uid"], str(users.USERS["alice"]))
