# SPDX-License-Identifier: MIT
"""Other programs that configure network devices run beside the service: systemd-networkd with an administrator's file
for every Ethernet device, NetworkManager, and udev. In each test with udev there is also a foreign tap, and what
happens to it proves that the other program was at work."""
import json
import time
import unittest

from tests.system.container import Container

EVERY_DEVICE = """[Match]
Type=ether
[Network]
DHCP=ipv4
LinkLocalAddressing=no
"""
FOREIGN_ADDRESS = "10.77.0.1/24"
SECONDS = 10
# Runs in place of QEMU: `run` appends words, which `sh -c` ignores.
HOLDER = ("sh", "-c", "exec sleep 600")


class OtherManagers(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.container = Container()
        self.addCleanup(self.container.close)
        self.container.set_members("alice")

    def up(self, user, *arguments):
        done = self.container.ctl(user, "up", "--json", *arguments)
        self.assertEqual((done.status, done.err), (0, ""), done)
        return json.loads(done.out)["taps"]

    def add_foreign(self, name, *words):
        self.container.root("ip", "tuntap", "add", name, "mode", "tap")
        self.container.root("ip", "address", "add", FOREIGN_ADDRESS, "dev", name)
        self.container.root("ip", "link", "set", name, *words, "up")

    def addresses(self):
        """Return the IPv4 addresses of each device."""
        shown = json.loads(self.container.root("ip", "-j", "-4", "address").out)
        return {device["ifname"]: [f"{one['local']}/{one['prefixlen']}" for one in device["addr_info"]]
                for device in shown}

    def assert_as_given(self, taps):
        """Require that the taps have the names, addresses and MACs of their lease, and are up."""
        links, addresses = self.container.links(), self.addresses()
        seen = [(name, links[name]["address"], addresses[name], "UP" in links[name]["flags"])
                for name in (tap["name"] for tap in taps) if name in links]
        self.assertEqual(seen, [(tap["name"], "fe" + tap["mac"][2:], [f"{tap['gateway']}/{tap['prefix_length']}"], True)
                                for tap in taps])

    def assert_stay(self, taps, seconds=SECONDS):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.assert_as_given(taps)

    def networkd_says(self, name):
        """Return the state in which networkd has a device: configured, unmanaged..."""
        for line in self.container.root("networkctl", "--no-legend", "--no-pager", "list").out.splitlines():
            words = line.split()
            if words[1] == name:
                return words[-1]
        return None

    def properties(self, name):
        done = self.container.root("udevadm", "info", "--query=property", f"/sys/class/net/{name}")
        return dict(line.split("=", 1) for line in done.out.splitlines())


class WithoutUdev(OtherManagers):
    def test_networkd(self):
        """With networkd but no udev taps keep their addresses and MACs, also after a restart of networkd."""
        self.container.root("systemctl", "start", "systemd-networkd")
        taps = self.up("alice", "--count", "2")
        self.container.wait_for(lambda: self.networkd_says(taps[1]["name"]) == "unmanaged", what="networkd has seen it")
        self.assert_stay(taps)
        self.container.root("systemctl", "restart", "systemd-networkd")
        self.container.wait_for(lambda: self.networkd_says(taps[1]["name"]) == "unmanaged", what="networkd has seen it")
        self.assert_stay(taps)


class WithUdev(OtherManagers):
    def setUp(self):
        super().setUp()
        self.container.start_udevd()

    def test_networkd(self):
        """A networkd that configures every Ethernet device changes a foreign tap but no tap of the service in 10 s."""
        self.container.write("/etc/systemd/network/20-every.network", EVERY_DEVICE)
        self.add_foreign("foreign0")
        earlier = self.up("alice")
        self.container.root("systemctl", "start", "systemd-networkd")
        taps = earlier + self.up("alice")
        held = self.container.start("alice", "qemu-tapctl", "run", "--", *HOLDER)
        self.container.wait_for(lambda: not self.addresses().get("foreign0"), what="networkd took foreign0's address")
        self.container.wait_for(lambda: len(self.container.taps()) == 3, what="the third tap")
        taps += json.loads(self.container.ctl("alice", "list", "--json").out)[2]["taps"]
        self.container.wait_for(lambda: {self.networkd_says(tap["name"]) for tap in taps} == {"unmanaged"},
                                what="networkd leaves the three alone")
        self.assert_stay(taps)
        self.container.root("ip", "address", "add", FOREIGN_ADDRESS, "dev", "foreign0")
        self.container.root("systemctl", "restart", "systemd-networkd")
        self.container.wait_for(lambda: not self.addresses().get("foreign0"), what="networkd took it again")
        self.assert_stay(taps)
        held.kill()

    def manager_says(self):
        """Return the state in which NetworkManager has each device."""
        done = self.container.root("nmcli", "--terse", "--fields", "DEVICE,STATE", "device")
        return dict(line.split(":", 1) for line in done.out.splitlines())

    def test_network_manager(self):
        """NetworkManager manages a foreign tap but no tap of the service: these keep addresses and MACs for 10 s."""
        earlier = self.up("alice")
        self.container.root("systemctl", "unmask", "NetworkManager")
        self.container.root("systemctl", "start", "NetworkManager")
        self.add_foreign("foreign0")
        taps = earlier + self.up("alice", "--count", "2")
        self.container.wait_for(lambda: self.manager_says().get("foreign0", "").startswith("connected"),
                                what="NetworkManager takes foreign0")
        self.container.wait_for(lambda: taps[-1]["name"] in self.manager_says(), what="NetworkManager sees the taps")
        self.assert_stay(taps)
        self.assertEqual([self.manager_says()[tap["name"]] for tap in taps], ["unmanaged"] * 3)

    def test_mac_policy(self):
        """udev's MAC policy changes a foreign tap's MAC, and none of 32 taps that the service makes at once."""
        self.container.root("ip", "tuntap", "add", "foreign0", "mode", "tap")
        taps = self.up("alice", "--count", "32")
        self.container.root("udevadm", "settle")
        self.assert_as_given(taps)
        # 3 means that a program has set the MAC. A tap with its first random MAC would have 1.
        self.assertEqual(self.container.read("/sys/class/net/foreign0/addr_assign_type").strip(), "3")

    def test_sysctl(self):
        """udev applies sysctl.d's settings for every device to a foreign tap, but not to the service's taps."""
        self.container.write("/etc/sysctl.d/90-every.conf", "net.ipv4.conf.*.rp_filter = 2\n")
        taps = self.up("alice", "--count", "3")
        self.add_foreign("foreign0")
        self.container.root("udevadm", "settle")
        filters = {name: self.container.read(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").strip()
                   for name in ("foreign0", *(tap["name"] for tap in taps))}
        self.assertEqual(filters, {"foreign0": "2", **{tap["name"]: "1" for tap in taps}})

    def test_only_ours(self):
        """The service's udev rules match its taps, of both holds and renamed, and no foreign tap with such a name."""
        self.add_foreign("tap8")
        (tap,) = self.up("alice")
        self.assertEqual(tap["name"], "tap9")
        self.container.root("ip", "link", "set", "tap9", "down")
        self.container.root("ip", "link", "set", "tap9", "name", "renamed")
        held = self.container.start("alice", "qemu-tapctl", "run", "--", *HOLDER)
        self.container.wait_for(lambda: "tap10" in self.container.links(), what="tap10 is there")
        self.container.root("udevadm", "settle")
        for name in ("renamed", "tap10"):
            mine = self.properties(name)
            self.assertEqual([mine.get(key) for key in ("QEMU_TAP", "NM_UNMANAGED", "ID_NET_MANAGED_BY")],
                             ["1", "1", "org.qemutap1"], name)
            self.assertTrue(mine["ID_NET_LINK_FILE"].endswith("/05-qemu-tapd.link"), mine)
        other = self.properties("tap8")
        self.assertEqual({"QEMU_TAP", "NM_UNMANAGED", "ID_NET_MANAGED_BY"} & set(other), set())
        self.assertTrue(other["ID_NET_LINK_FILE"].endswith("/99-default.link"), other)
        self.assertIn(FOREIGN_ADDRESS, self.addresses()["tap8"])
        held.kill()
        self.assertFalse("qemu-tap" in str(self.container.links()["tap8"].get("ifalias")))
