# SPDX-License-Identifier: MIT
"""Foreign devices, addresses and routes are not taken, attached to, changed or deleted (I2, I3), whether they exist
before the daemon starts or appear while it runs."""

from tests.bus.ring import BusRing
from tests.lib import kernel


def lan(name, *addresses):
    """Makes a foreign device with addresses. It is a tun device, which every test machine can make."""
    kernel.ip("tuntap", "add", name, "mode", "tun")
    for address in addresses:
        kernel.ip("addr", "add", address, "dev", name)
    kernel.ip("link", "set", name, "up")


def route(prefix, *rest):
    kernel.ip("route", "add", prefix, *rest)


class Neighbours(BusRing):
    options = None

    def start(self):
        """Starts the daemon without the exclusion of runqemu's network, so that the indexes begin at 7."""
        self.host.start_daemon("--exclude", "192.168.122.0/24")

    def indexes(self, count):
        return [tap["index"] for tap in self.up("alice", "--count", str(count))["taps"]]

    def assert_given(self, *expected):
        """Expects exactly these indexes; after their release every foreign device is as before."""
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
        """A device `tap8`, an alternative name `tap9` and a persistent foreign tap `tap10` are skipped (I2, I3)."""
        def furnish():
            kernel.ip("link", "add", "tap8", "type", "bridge")
            lan("lan0")
            kernel.ip("link", "property", "add", "dev", "lan0", "altname", "tap9")
            kernel.ip("tuntap", "add", "tap10", "mode", "tap")
        self.both_orders(furnish, 7, 11, 12)

    def test_not_attached(self):
        """The daemon never attaches to a persistent foreign tap without an owner that has the next name (I3)."""
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
        kernel.wait_for(kernel.absent("tap9", "tap10"), "our taps end")
        self.assertTrue(kernel.present("tap7", "tap8")())


class Addresses(Neighbours):
    def test_same(self):
        """An address in a subnet of the pool, with the same, a longer or a shorter prefix, blocks that subnet (I2)."""
        self.both_orders(lambda: lan("lan0", "192.168.7.77/24", "192.168.9.130/25", "192.168.12.1/23"), 8, 10, 11, 14)

    def test_single(self):
        """A single address blocks its subnet, also on loopback, and also as the peer of a point-to-point link (I2)."""
        def furnish():
            kernel.ip("addr", "add", "192.168.8.200/32", "dev", "lo")
            lan("ppp0")
            kernel.ip("addr", "add", "10.0.0.1", "peer", "192.168.10.9", "dev", "ppp0")
        self.both_orders(furnish, 7, 9, 11)

    def test_all(self):
        """An address whose prefix covers the pool exhausts the pool (status 7), and the error names the address (I2)."""
        self.start()
        lan("corp0", "192.168.200.1/16")
        self.host.mark()
        self.assert_refused(self.ctl("alice", "up"), 7, "192.168.0.0/16", "corp0")
        self.host.no_trace()

    def test_outside(self):
        """Addresses outside the pool block nothing."""
        self.both_orders(lambda: lan("lan0", "10.7.0.1/8", "172.16.7.1/12", "192.167.7.1/24", "192.169.7.1/24"), 7, 8)

    def test_gone_again(self):
        """A subnet that a foreign address blocked is free again without a restart once the address is removed."""
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
        """Routes in the main table block the subnets they overlap: same, longer or shorter prefix, host routes (I2)."""
        def furnish():
            lan("lan0", "10.0.0.1/24")
            route("192.168.7.0/24", "via", "10.0.0.2")
            route("192.168.9.64/26", "dev", "lan0")
            route("192.168.10.0/23", "dev", "lan0")
            route("192.168.13.5/32", "via", "10.0.0.3")
        self.both_orders(furnish, 8, 12, 14)

    def test_other_tables(self):
        """A route in another table blocks like one in the main table (I2)."""
        def furnish():
            lan("lan0", "10.0.0.1/24")
            route("192.168.7.0/24", "dev", "lan0", "table", "100")
            route("192.168.9.0/30", "dev", "lan0", "table", "101")
        self.both_orders(furnish, 8, 10)

    def test_vpn(self):
        """A VPN's route to 192.168.0.0/20 blocks all subnets in it: the first free index is 16 (I2)."""
        def furnish():
            lan("vpn0", "10.8.0.2/24")
            route("192.168.0.0/20", "dev", "vpn0")
        self.both_orders(furnish, 16, 17)

    def test_without_device(self):
        """Routes without a device (blackhole, unreachable, prohibit) block too (I2)."""
        def furnish():
            route("blackhole", "192.168.7.0/24")
            route("unreachable", "192.168.9.0/24")
            route("prohibit", "192.168.11.0/24")
        self.both_orders(furnish, 8, 10, 12)

    def test_default(self):
        """Default routes block nothing, neither in the main table nor in another one."""
        def furnish():
            lan("lan0", "10.0.0.1/24")
            route("default", "via", "10.0.0.2")
            route("default", "via", "10.0.0.3", "table", "100")
        self.both_orders(furnish, 7, 8)

    def test_default_in_halves(self):
        """A default route in two halves, as set by OpenVPN's `redirect-gateway def1`, blocks nothing either."""
        def furnish():
            lan("vpn0", "10.8.0.2/24")
            route("0.0.0.0/1", "via", "10.8.0.1")
            route("128.0.0.0/1", "via", "10.8.0.1")
        self.both_orders(furnish, 7, 8)

    def test_broader(self):
        """Any other route that covers the pool exhausts it (status 7), and the error names the route (I2)."""
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
        """A subnet is free again without a restart once the route is deleted, by hand or with its device."""
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
        """Beside all of these together the service takes, attaches to, changes or deletes nothing foreign (I2, I3)."""
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
        """libvirt's default network is excluded by default, even if libvirt is not installed (I2)."""
        self.host.start_daemon("--first-index", "121")
        self.assertEqual(self.indexes(3), [121, 123, 124])

    def test_runqemu(self):
        """The addresses of Yocto's runqemu are excluded by default, even if runqemu is not running (I2)."""
        self.host.start_daemon("--first-index", "6")
        self.assertEqual(self.indexes(3), [6, 8, 9])

    def test_configured(self):
        """Configured exclusions replace the default ones and block longer and shorter prefixes (I2)."""
        self.host.start_daemon("--exclude", "192.168.8.128/25", "--exclude", "192.168.10.0/23")
        self.assertEqual(self.indexes(4), [7, 9, 12, 13])
