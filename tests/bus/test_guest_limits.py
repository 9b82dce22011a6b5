# SPDX-License-Identifier: MIT
"""I10: what a guest may do to its host. The test plays the guest and writes frames into its tap. It also plays another
program that changes settings of live taps, which the daemon restores and logs."""

import fcntl
import os
import socket
import struct
import time

import pytest

from tests.bus.frames import Guest, UDP, is_arp_answer_for, is_multicast, mac_of, redirect, udp
from tests.bus.ring import BusRing
from tests.lib import kernel
from tests.lib.bus import Variant
from tests.lib.process import until

pytestmark = pytest.mark.early

NET = "/proc/sys/net"
PUT_BACK = "put back "
# Seconds between two looks of the daemon at the settings, at most.
LOOK_DISTANCE = 0.8
LOOK_DISTANCE = 0.8  # seconds between two looks of the daemon at the settings, at most
# Settings whose change the kernel announces, each with a value that is not the promised one.
ANNOUNCED = {"ipv4/conf/{}/rp_filter": 2, "ipv4/conf/{}/proxy_arp": 1, "ipv4/conf/{}/ignore_routes_with_linkdown": 0,
             "ipv6/conf/{}/disable_ipv6": 0}
PROMISED = {"ipv4/conf/{}/rp_filter": 1, "ipv4/conf/{}/arp_ignore": 1, "ipv4/conf/{}/accept_redirects": 0,
            "ipv4/conf/{}/send_redirects": 0, "ipv4/conf/{}/ignore_routes_with_linkdown": 1,
            "ipv4/conf/{}/route_localnet": 0, "ipv4/conf/{}/proxy_arp": 0, "ipv4/conf/{}/accept_local": 0,
            "ipv4/conf/{}/accept_source_route": 0, "ipv6/conf/{}/disable_ipv6": 1, "ipv6/conf/{}/accept_ra": 0,
            "ipv6/conf/{}/addr_gen_mode": 1}


def read(path):
    with open(f"{NET}/{path}", encoding="ascii") as file:
        return int(file.read())


def write(path, value):
    with open(f"{NET}/{path}", "w", encoding="ascii") as file:
        file.write(str(value))


def broken(name):
    """The settings of a tap that differ from the promised ones."""
    found = [path.format(name) for path, value in PROMISED.items() if read(path.format(name)) != value]
    return found + (["multicast"] if "MULTICAST" in kernel.link(name)["flags"] else [])


class Limits(BusRing):
    def setUp(self):
        super().setUp()
        self.restored = {}
        self.root = self.host.connect("root")
        self.addCleanup(self.root.close)

    def set_all(self, path, value):
        """Sets a setting of the whole scratch host until the end of the test."""
        if path not in self.restored:
            self.restored[path] = read(path)
            self.addCleanup(write, path, self.restored[path])
        write(path, value)

    def take(self, count=1, hold="fd", profile="standard"):
        """Acquires a lease as root; returns the guests on its taps, or the names of taps held by name."""
        options = {"hold": Variant("s", hold), "profile": Variant("s", profile)}
        _, taps, descriptors = self.call(self.root, "Acquire", "ua{sv}", count, options)
        for descriptor in descriptors:
            self.addCleanup(os.close, descriptor)
        names = [tap["name"] for tap in taps]
        return [Guest(*pair) for pair in zip(names, descriptors)] if descriptors else names

    def lines(self, words=PUT_BACK):
        return [line for line in self.host.daemon.log().splitlines() if words in line]

    def settled(self, *names):
        return lambda: not any(broken(name) for name in names)


class Kept(Limits):
    def test_given(self):
        """A lease of either hold is given with each setting as promised.
        Of runqemu's taps the first alone answers ARP requests for other addresses."""
        for hold in ("fd", "name"):
            for tap in self.take(2, hold):
                self.assertEqual(broken(tap if hold == "name" else tap.name), [])
        runqemus, further = self.take(2, "name", "runqemu")
        self.assertEqual((broken(runqemus), broken(further)), ([f"ipv4/conf/{runqemus}/proxy_arp"], []))

    def test_each_announced(self):
        """A change that the kernel announces is reverted, the quickest within a second, and logged with both values."""
        (guest,) = self.take()
        took = []
        for path, value in ANNOUNCED.items():
            path = path.format(guest.name)
            with self.subTest(path=path):
                began = time.monotonic()
                write(path, value)
                until(self.settled(guest.name), path)
                took.append(time.monotonic() - began)
                setting = f"net.{path.replace('/', '.')}"
                until(lambda setting=setting: self.lines(setting), "it is logged")
                (line,) = self.lines(setting)
                self.assertIn(f"from {PROMISED[path.replace(guest.name, '{}')]} to {value}", line)
        kernel.ip("link", "set", guest.name, "multicast", "on")
        until(self.settled(guest.name), "the flag MULTICAST")
        self.shows = f"reverted after {', '.join(f'{one * 1000:.0f}' for one in took)} ms"
        # A busy machine may delay one of them; a daemon that looks at fixed times would delay them all.
        self.assertLess(min(took), 1)

    def test_vpn(self):
        """After `sysctl -w net.ipv6.conf.all.disable_ipv6=0`, as by VPN clients, IPv6 is off again on all taps."""
        names = [guest.name for guest in self.take(8)]
        self.set_all("ipv6/conf/all/disable_ipv6", 1)
        write("ipv6/conf/all/disable_ipv6", 0)
        until(self.settled(*names), "IPv6 is off on the taps")
        until(lambda: self.lines("disable_ipv6"), "it is logged")
        self.assertLessEqual(len(self.lines("disable_ipv6")), 2)  # one line per change, not one per tap

    def test_sysctl_system(self):
        """After `sysctl --system` with net.ipv4.conf.*, all settings of all taps are restored."""
        names = self.take(3, "name") + [guest.name for guest in self.take(2)]
        for name in names:
            for setting in ("accept_redirects", "route_localnet", "arp_ignore", "accept_local", "rp_filter"):
                write(f"ipv4/conf/{name}/{setting}", 0 if setting.startswith("arp") else 2 if setting[0] == "r" else 1)
        until(self.settled(*names), "all settings")

    def test_unannounced(self):
        """A change that the kernel does not announce is reverted at the next call of any user."""
        (name,) = self.take(1, "name")
        for setting in ("arp_ignore", "accept_redirects", "route_localnet", "accept_local"):
            path = f"ipv4/conf/{name}/{setting}"
            write(path, 1 - PROMISED[f"ipv4/conf/{{}}/{setting}"])
            self.leases("alice")
            until(self.settled(name), path)

    def test_loop(self):
        """A program that changes a setting in a loop costs a line or two in the log and no busy loop of the daemon.
        The daemon restores the setting when the program stops."""
        (guest,) = self.take()
        path, daemon = f"ipv4/conf/{guest.name}/rp_filter", self.host.daemon
        before, began, writes = self.cpu_seconds(), time.monotonic(), 0
        while time.monotonic() - began < 3:
            write(path, writes % 3)
            writes += 1
        took = time.monotonic() - began
        used = self.cpu_seconds() - before
        write(path, 2)
        until(self.settled(guest.name), path)
        self.shows = f"{writes} writes, {used:.2f} s of {took:.2f} s, {len(self.lines())} lines"
        self.assertTrue(daemon.alive())
        self.assertLessEqual(len(self.lines()), 2, self.shows)
        self.assertLess(used, took / 4, self.shows)

    def cpu_seconds(self):
        with open(f"/proc/{self.host.daemon.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_no_wakeups(self):
        """The daemon sleeps while it watches the settings of idle leases."""
        self.take(4, "name")
        self.leases("root")

        def switches():
            with open(f"/proc/{self.host.daemon.pid}/status", encoding="ascii") as file:
                return [line for line in file if line.startswith("voluntary_ctxt_switches")]

        def sleeps():
            before = switches()
            time.sleep(3)
            return switches() == before
        # The daemon first reads the kernel's messages about the new taps, which takes a while on a loaded machine.
        until(sleeps, "three seconds without a wakeup")

    def test_start(self):
        """A change made while no daemon ran is reverted at the start; new settings alone are not logged."""
        (name,) = self.take(1, "name")
        self.host.stop_daemon()
        kernel.ip("link", "set", name, "multicast", "on")
        write(f"ipv4/conf/{name}/route_localnet", 1)
        self.host.start_daemon()
        until(self.settled(name), "the new settings")
        self.assertEqual(self.lines(), [])
        self.host.stop_daemon()
        write(f"ipv4/conf/{name}/rp_filter", 2)
        self.host.start_daemon()
        until(self.settled(name), "all settings")
        until(lambda: self.lines("rp_filter"), "it is logged")


class Frames(Limits):
    """What reaches the host. For each case a control shows that the frame does where a setting is not as promised."""

    PORT = 4711

    def listen(self, address):
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind((address, self.PORT))
        listener.settimeout(0.5)
        return listener

    def arrives(self, guest, listener, source, destination):
        word = f"{source} {time.monotonic()}".encode()
        guest.send_ipv4(source, destination, UDP, udp(self.PORT, word))
        try:
            while listener.recv(100) != word:
                pass
        except TimeoutError:
            return False
        return True

    def warnings(self, name):
        self.leases("root")
        return [line for line in self.lines(f"net.ipv4.conf.all.{name}") if PUT_BACK not in line]

    def assert_host_wide(self, setting, value, arrives, otherwise=0):
        """The frame does not arrive; with the setting for all devices it does, and one warning names that setting."""
        self.assertFalse(arrives())
        self.assertEqual(self.warnings(setting), [])
        self.set_all(f"ipv4/conf/all/{setting}", value)
        until(arrives, "the frame arrives")
        self.take()
        until(lambda: self.warnings(setting), "the warning")
        (line,) = self.warnings(setting)
        self.assertIn(f"sysctl -w net.ipv4.conf.all.{setting}=0", line)
        write(f"ipv4/conf/all/{setting}", otherwise)
        self.take()
        # The daemon spends a small part of its time on looks at settings: a look may follow the call that asks for it.
        time.sleep(2 * LOOK_DISTANCE)
        self.assertFalse(arrives())
        write(f"ipv4/conf/all/{setting}", value)
        until(lambda: len(self.warnings(setting)) == 2, "the second warning")

    def test_own_address(self):
        """A guest reaches its gateway's address."""
        self.set_all("ipv4/conf/all/rp_filter", 0)
        (guest,) = self.take()
        listener = self.listen("0.0.0.0")
        until(lambda: self.arrives(guest, listener, "192.168.8.2", "192.168.8.1"), "the frame arrives")
        guest.ask_for("192.168.8.1", "192.168.8.2")
        self.assertTrue(guest.received(is_arp_answer_for("192.168.8.1"), 2))

    def test_spoofed(self):
        """A frame from another guest's address arrives only with all.rp_filter=2, and a warning names that setting."""
        self.set_all("ipv4/conf/all/rp_filter", 0)
        guest, _ = self.take(2)
        listener = self.listen("0.0.0.0")
        self.assert_host_wide("rp_filter", 2, lambda: self.arrives(guest, listener, "192.168.9.2", "192.168.8.1"))

    def test_loopback(self):
        """A frame to 127.0.0.1 arrives only with all.route_localnet=1, and a warning names that setting."""
        (guest,) = self.take()
        listener = self.listen("127.0.0.1")
        self.assert_host_wide("route_localnet", 1, lambda: self.arrives(guest, listener, "192.168.8.2", "127.0.0.1"))

    def test_gateways_own_address(self):
        """A frame from the host's own address arrives only with all.accept_local=1, and a warning names it."""
        (guest,) = self.take()
        listener = self.listen("0.0.0.0")
        self.assert_host_wide("accept_local", 1, lambda: self.arrives(guest, listener, "192.168.8.1", "192.168.8.1"))

    def test_proxied_addresses(self):
        """The host answers ARP for other addresses only if it forwards and all.proxy_arp=1, and a warning says so."""
        self.set_all("ipv4/conf/default/forwarding", 1)
        self.set_all("ipv4/ip_forward", 1)
        guest, _ = self.take(2)

        def answered():
            guest.ask_for("192.168.9.2", "192.168.8.2")
            return guest.received(is_arp_answer_for("192.168.9.2"), 2)
        self.assert_host_wide("proxy_arp", 1, answered)

    def test_runqemus_neighbours(self):
        """Guests of runqemu's taps reach each other through the host if it forwards packets, and only then.
        Each takes all of 192.168.7.0/24 for its own network. The host answers no other guest's ARP for them."""
        self.set_all("ipv4/conf/default/forwarding", 1)
        self.set_all("ipv4/ip_forward", 1)
        first, second, other = *self.take(profile="runqemu"), *self.take(profile="runqemu"), *self.take()

        def answered(guest, own, address="192.168.7.4"):
            guest.ask_for(address, own)
            return guest.received(is_arp_answer_for(address), 2)

        def arrives():
            first.send_ipv4("192.168.7.2", "192.168.7.4", UDP, udp(self.PORT, b"to the second"))
            return second.received(lambda frame: b"to the second" in frame, 2)
        kernel.ip("neigh", "add", "192.168.7.4", "lladdr", "52:54:00:00:00:07", "dev", second.name)
        self.assertTrue(answered(first, "192.168.7.2"))
        self.assertTrue(arrives())
        self.assertFalse(answered(other, "192.168.8.2"))
        self.set_all("ipv4/ip_forward", 0)
        self.assertFalse(answered(first, "192.168.7.2"))
        self.assertFalse(arrives())

    def uplink(self, name="uplink0"):
        """A network of the host's own, with a default route through it."""
        descriptor = os.open("/dev/net/tun", os.O_RDWR)
        self.addCleanup(os.close, descriptor)
        fcntl.ioctl(descriptor, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))  # IFF_TAP | IFF_NO_PI
        kernel.ip("link", "set", name, "up")
        kernel.ip("addr", "add", "10.9.0.1/24", "dev", name)
        kernel.ip("neigh", "add", "10.9.0.77", "lladdr", "02:00:00:00:00:77", "dev", name)
        kernel.ip("route", "add", "default", "via", "10.9.0.254")
        return Guest(name, descriptor, b"")

    def test_redirects(self):
        """A redirect from a guest changes no route, even with the kernel's default all.accept_redirects=1.
        It would count only from the gateway's address, which a guest cannot use. The control: a redirect from the
        gateway itself changes the route, and with all.rp_filter=2 the guest's does too."""
        self.set_all("ipv4/conf/all/accept_redirects", 1)
        self.set_all("ipv4/conf/all/rp_filter", 0)
        uplink = self.uplink()
        (guest,) = self.take()
        way = kernel.ip("route", "get", "203.0.113.9").split("uid")[0]
        self.assertIn("via 10.9.0.254", way)
        kernel.ip("neigh", "add", "192.168.8.3", "lladdr", "02:00:00:00:00:03", "dev", guest.name)

        def send(which, source, gateway, own):
            for _ in range(3):
                which.send(mac_of(which.name), 0x0800, redirect("203.0.113.9", gateway, source, own))
            return kernel.ip("route", "get", "203.0.113.9").split("uid")[0]
        for source in ("192.168.8.2", "10.9.0.254"):
            for own in ("192.168.8.1", "10.9.0.1"):
                for gateway in ("192.168.8.3", "10.9.0.77"):
                    self.assertEqual(send(guest, source, gateway, own), way, (source, own, gateway))
        self.assertIn("via 10.9.0.77", send(uplink, "10.9.0.254", "10.9.0.77", "10.9.0.1"))
        self.assertEqual(self.warnings("accept_redirects"), [])
        kernel.ip("route", "flush", "cache")
        self.assertEqual(send(guest, "10.9.0.254", "10.9.0.77", "10.9.0.1"), way)
        self.set_all("ipv4/conf/all/rp_filter", 2)
        self.assertIn("via 10.9.0.77", send(guest, "10.9.0.254", "10.9.0.77", "10.9.0.1"))

    def test_router_advertisements(self):
        """Router Advertisements bring no default route or address while a program enables IPv6 again and again.
        The control: on a device of that program's own they bring both."""
        (guest,) = self.take()
        self.set_all("ipv6/conf/all/disable_ipv6", 1)
        uplink = self.uplink()

        def gained(name):
            return kernel.ip("-6", "route", "show", "default", "dev", name), kernel.ip("-6", "addr", "show", "dev", name)
        for _ in range(30):
            write("ipv6/conf/all/disable_ipv6", 0)
            for _ in range(5):
                guest.send_router_advertisement()
            self.assertEqual(gained(guest.name), ("", ""))
            write("ipv6/conf/all/disable_ipv6", 1)
        write("ipv6/conf/all/disable_ipv6", 0)

        def controlled():
            uplink.send_router_advertisement()
            return "default" in gained("uplink0")[0] and "2001:db8:" in gained("uplink0")[1]
        until(controlled, "the control")
        guest.send_router_advertisement()
        until(self.settled(guest.name), "IPv6 is off")
        self.assertEqual(gained(guest.name), ("", ""))

    def test_names(self):
        """A program that queries all multicast networks for names (mDNS, LLMNR) does not query a guest.
        The tap lacks the flag MULTICAST. The control: with the flag the guest would be queried."""
        (guest,) = self.take()

        def ask():
            """Chooses devices as avahi and systemd-resolved do: UP, LOWER_UP, MULTICAST, not LOOPBACK."""
            for name, facts in kernel.links().items():
                if {"UP", "LOWER_UP", "MULTICAST"} <= set(facts["flags"]) and "LOOPBACK" not in facts["flags"]:
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
                        for group in ("224.0.0.251", "224.0.0.252"):
                            where = struct.pack("4s4si", socket.inet_aton(group), bytes(4), socket.if_nametoindex(name))
                            query.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, where)
                            query.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, where)
                            query.sendto(b"who is printer.local?", (group, 5353))
        ask()
        self.assertFalse(guest.received(is_multicast, 1))
        self.host.stop_daemon()
        kernel.ip("link", "set", guest.name, "multicast", "on")
        ask()
        self.assertTrue(guest.received(is_multicast, 2))
