# SPDX-License-Identifier: MIT
"""Point 5: the devices, addresses and routes of others are neither taken, attached to, changed nor deleted (I2, I3),
whether they were there before the daemon or came while it ran."""

from rig import kernel
from ring import BusRing


def lan(name, *addresses):
    """A foreign device with addresses; a tun device, which every machine of this ring can make."""
    kernel.ip("tuntap", "add", name, "mode", "tun")
    for address in addresses:
        kernel.ip("addr", "add", address, "dev", name)
    kernel.ip("link", "set", name, "up")


def route(prefix, *rest):
    kernel.ip("route", "add", prefix, *rest)


class Neighbours(BusRing):
    options = None

    def start(self):
        """Without runqemu's network excluded, so that the indexes begin at 7."""
        self.host.start_daemon("--exclude", "192.168.122.0/24")

    def indexes(self, count):
        return [tap["index"] for tap in self.up("alice", "--count", str(count))["taps"]]

    def assert_given(self, *expected):
        """Exactly these indexes are given, then all of ours goes and all of theirs is as it was."""
        self.host.mark()
        theirs = kernel.links()
        self.assertEqual(self.indexes(len(expected)), list(expected))
        for name, facts in theirs.items():
            self.assertEqual(kernel.link(name), facts, f"{name} was changed")
        self.ok("alice", "down", "--all")
        self.host.no_trace()
        self.assertEqual(kernel.links(), theirs)

    def both_orders(self, furnish, *expected):
        for order in ((furnish, self.start), (self.start, furnish)):
            with self.subTest(first=order[0].__name__):
                try:
                    for act in order:
                        act()
                    self.assert_given(*expected)
                finally:
                    self.clear()


class Devices(Neighbours):
    def test_names(self):
        """A device `tap8`, an alternative name `tap9` and a persistent foreign tap `tap10` are passed over (I2, I3)."""
        def furnish():
            kernel.ip("link", "add", "tap8", "type", "bridge")
            lan("lan0")
            kernel.ip("link", "property", "add", "dev", "lan0", "altname", "tap9")
            kernel.ip("tuntap", "add", "tap10", "mode", "tap")
        self.both_orders(furnish, 7, 11, 12)

    def test_not_attached(self):
        """An ownerless persistent foreign tap in the way is not attached to at any time (I3)."""
        self.start()
        for name in ("tap7", "tap8"):
            kernel.ip("tuntap", "add", name, "mode", "tap")
            kernel.ip("link", "set", name, "up")
        holder = self.run_stand_in("alice", "--count", "2")
        self.assertEqual([holder.open[holder.fds(netdev)[0]]["tap"]["name"] for netdev in (0, 1)], ["tap9", "tap10"])
        for name in ("tap7", "tap8"):
            self.assertIn("NO-CARRIER", kernel.link(name)["flags"])
            self.assertNotIn("ifalias", kernel.link(name))
        holder.kill()
        kernel.wait_for(kernel.absent("tap9", "tap10"), 1, "our taps end")
        self.assertTrue(kernel.present("tap7", "tap8")())


class Addresses(Neighbours):
    def test_same(self):
        """An address in a subnet of ours, of the same, a narrower or a broader prefix, takes that subnet away (I2)."""
        self.both_orders(lambda: lan("lan0", "192.168.7.77/24", "192.168.9.130/25", "192.168.12.1/23"), 8, 10, 11, 14)

    def test_single(self):
        """A single address counts, also on loopback, and also its peer on a point-to-point link (I2)."""
        def furnish():
            kernel.ip("addr", "add", "192.168.8.200/32", "dev", "lo")
            lan("ppp0")
            kernel.ip("addr", "add", "10.0.0.1", "peer", "192.168.10.9", "dev", "ppp0")
        self.both_orders(furnish, 7, 9, 11)

    def test_all(self):
        """An address whose prefix covers the whole pool leaves nothing: pool exhausted (7), and it is named (I2)."""
        self.start()
        lan("corp0", "192.168.200.1/16")
        self.host.mark()
        self.assert_refused(self.ctl("alice", "up"), 7, "192.168.0.0/16", "corp0")
        self.host.no_trace()

    def test_outside(self):
        """Addresses outside the pool take nothing away."""
        self.both_orders(lambda: lan("lan0", "10.7.0.1/8", "172.16.7.1/12", "192.167.7.1/24", "192.169.7.1/24"), 7, 8)

    def test_gone_again(self):
        """What others give back is free again, without a restart."""
        self.start()
        lan("lan0", "192.168.7.77/24")
        self.assertEqual(self.indexes(1), [8])
        kernel.ip("addr", "del", "192.168.7.77/24", "dev", "lan0")
        self.assertEqual(self.indexes(1), [7])
        kernel.ip("addr", "add", "192.168.9.1/24", "dev", "lan0")
        kernel.ip("link", "delete", "lan0")
        self.assertEqual(self.indexes(1), [9])


class Routes(Neighbours):
    def test_prefixes(self):
        """Routes in the main table take away what they overlap: the same, a narrower, a broader prefix, a host (I2)."""
        def furnish():
            lan("lan0", "10.0.0.1/24")
            route("192.168.7.0/24", "via", "10.0.0.2")
            route("192.168.9.64/26", "dev", "lan0")
            route("192.168.10.0/23", "dev", "lan0")
            route("192.168.13.5/32", "via", "10.0.0.3")
        self.both_orders(furnish, 8, 12, 14)

    def test_other_tables(self):
        """A route in another table counts like one in the main table (I2)."""
        def furnish():
            lan("lan0", "10.0.0.1/24")
            route("192.168.7.0/24", "dev", "lan0", "table", "100")
            route("192.168.9.0/30", "dev", "lan0", "table", "101")
        self.both_orders(furnish, 8, 10)

    def test_vpn(self):
        """A VPN's 192.168.0.0/20 takes away all that lies in it: the first free index is 16 (I2)."""
        def furnish():
            lan("vpn0", "10.8.0.2/24")
            route("192.168.0.0/20", "dev", "vpn0")
        self.both_orders(furnish, 16, 17)

    def test_without_device(self):
        """Routes that lead nowhere (blackhole, unreachable, prohibit) count too: somebody wants that space (I2)."""
        def furnish():
            route("blackhole", "192.168.7.0/24")
            route("unreachable", "192.168.9.0/24")
            route("prohibit", "192.168.11.0/24")
        self.both_orders(furnish, 8, 10, 12)

    def test_default(self):
        """Default routes, in the main and in another table, take nothing away."""
        def furnish():
            lan("lan0", "10.0.0.1/24")
            route("default", "via", "10.0.0.2")
            route("default", "via", "10.0.0.3", "table", "100")
        self.both_orders(furnish, 7, 8)

    def test_default_in_halves(self):
        """A default route in two halves, as OpenVPN's `redirect-gateway def1` sets it, takes nothing away either."""
        def furnish():
            lan("vpn0", "10.8.0.2/24")
            route("0.0.0.0/1", "via", "10.8.0.1")
            route("128.0.0.0/1", "via", "10.8.0.1")
        self.both_orders(furnish, 7, 8)

    def test_broader(self):
        """A route of any other prefix that covers the pool leaves nothing: pool exhausted (7), and it is named (I2)."""
        self.start()
        lan("corp0", "10.0.0.1/24")
        for prefix in ("192.0.0.0/2", "192.168.0.0/16"):
            with self.subTest(prefix=prefix):
                route(prefix, "via", "10.0.0.2")
                self.host.mark()
                self.assert_refused(self.ctl("alice", "up"), 7, "192.168.0.0/16", "corp0")
                self.host.no_trace()
                kernel.ip("route", "del", prefix)
        self.assertEqual(self.indexes(1), [7])

    def test_gone_again(self):
        """A route that is withdrawn, by hand or with its device's end, gives its space back without a restart."""
        self.start()
        lan("lan0", "10.0.0.1/24")
        route("192.168.7.0/24", "dev", "lan0")
        route("192.168.8.0/24", "dev", "lan0")
        route("192.168.9.0/24", "dev", "lan0", "table", "100")
        self.assertEqual(self.indexes(1), [10])
        kernel.ip("route", "del", "192.168.7.0/24")
        self.assertEqual(self.indexes(1), [7])
        kernel.ip("link", "delete", "lan0")
        self.assertEqual(self.indexes(2), [8, 9])

    def test_everything(self):
        """Point 5, all at once: nothing of others is taken, attached to, changed or deleted (I2, I3)."""
        def furnish():
            kernel.ip("tuntap", "add", "tap8", "mode", "tap", "user", "bob")
            lan("lan0", "192.168.17.1/24", "10.0.0.1/24")
            kernel.ip("link", "property", "add", "dev", "lan0", "altname", "tap9")
            kernel.ip("tuntap", "add", "tap10", "mode", "tap")
            lan("vpn0", "10.8.0.2/24")
            route("192.168.0.0/21", "dev", "vpn0")
            route("192.168.11.0/25", "dev", "lan0")
            route("192.168.14.0/23", "dev", "lan0", "table", "100")
            route("192.168.18.0/24", "dev", "lan0", "table", "101")
        self.both_orders(furnish, 12, 13, 16, 19)


class Excluded(Neighbours):
    def test_libvirt(self):
        """libvirt's default network is excluded out of the box, also when libvirt is not there (I2)."""
        self.host.start_daemon("--first-index", "121")
        self.assertEqual(self.indexes(3), [121, 123, 124])

    def test_runqemu(self):
        """Where Yocto's runqemu has the addresses of its taps no subnet is given, also when it does not run (I2)."""
        self.host.start_daemon("--first-index", "6")
        self.assertEqual(self.indexes(3), [6, 8, 9])

    def test_configured(self):
        """Excluded prefixes take the default one's place and count in both directions, narrower and broader (I2)."""
        self.host.start_daemon("--exclude", "192.168.8.128/25", "--exclude", "192.168.10.0/23")
        self.assertEqual(self.indexes(4), [7, 9, 12, 13])
