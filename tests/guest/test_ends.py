# SPDX-License-Identifier: MIT
"""Violent ends, with a real QEMU and a guest at work: QEMU's own, after which nothing may be left, and the daemon's,
of which no guest may notice anything."""

import os
import select
import signal
import socket
import time

from rig import kernel
from rig.process import HANGS
from guest import QEMU, GuestRing, expected_story, nics_of

ECHO_REQUEST = 8
ETH_P_IP = 0x0800


class EchoRequests:
    """What arrives on a tap from its guest: the guest's own account comes only when it is done."""

    def __init__(self, tap):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self.socket.bind((tap, ETH_P_IP))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def wait_for(self, count, limit=HANGS):
        """Returns when so many more have come."""
        deadline = time.monotonic() + limit
        while count > 0:
            if not select.select([self.socket], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{count} echo requests too few within {limit} s")
            packet, (_, _, kind, _, _) = self.socket.recvfrom(2048)
            header = (packet[14] & 15) * 4
            if kind == socket.PACKET_HOST and packet[23] == socket.IPPROTO_ICMP and packet[14 + header] == ECHO_REQUEST:
                count -= 1


class Killed(GuestRing):
    """Point 3: nothing outlives QEMU."""

    def start_two(self):
        guest, lease = self.run_guest(["--count", "2"], self.qemu("cloud", "guest.pings=600 guest.interval=0.1"))
        guest.wait_for("^GUEST-PINGING$")
        self.assertEqual(guest.words()[0], QEMU, "the process started as the client is QEMU now")
        with EchoRequests(lease["taps"][1]["name"]) as requests:
            requests.wait_for(3)
        return guest

    def assert_gone_with_qemu(self, guest, when):
        start = time.monotonic()
        self.assertEqual(guest.kill(), -9)
        took = time.monotonic() - start + self.assert_gone()
        print(f"       figure: QEMU killed {when}: taps, addresses, routes gone after {1000 * took:.0f} ms", flush=True)

    def test_qemu(self):
        """Point 3: taps, addresses and routes are gone after the SIGKILL of a QEMU whose guest is pinging."""
        self.assert_gone_with_qemu(self.start_two(), "beside a running daemon")
        self.assertEqual(self.leases(), [])

    def test_qemu_after_the_daemon(self):
        """Point 3: also when the daemon was killed before; a daemon started later knows of nothing."""
        guest = self.start_two()
        self.host.daemon.kill()
        self.assert_gone_with_qemu(guest, "after the daemon")
        self.host.restart_daemon()
        self.assertEqual(self.leases(), [])


class KilledByName(GuestRing):
    """The same where QEMU opens its taps by name and the client stays beside it."""

    def start_two(self):
        command = self.qemu("cloud", "guest.pings=600 guest.interval=0.1")
        guest = self.start("qemu-tapctl", "run", "--hold", "name", "--count", "2", "--", *command)
        guest.wait_for("^GUEST-PINGING$")
        (lease,) = self.leases()
        with EchoRequests(lease["taps"][1]["name"]) as requests:
            requests.wait_for(3)
        with open(f"/proc/{guest.popen.pid}/task/{guest.popen.pid}/children", encoding="ascii") as file:
            return guest, int(file.read())

    def test_qemu(self):
        """Taps, addresses and routes are gone when the client has ended, as QEMU had: by SIGKILL."""
        guest, qemu = self.start_two()
        os.kill(qemu, signal.SIGKILL)
        self.assertEqual(guest.end(), -signal.SIGKILL)
        self.host.no_trace()
        self.assertEqual(guest.complaints(), "")

    def test_client(self):
        """With the client's SIGKILL QEMU ends, and all is gone."""
        guest, _ = self.start_two()
        start = time.monotonic()
        guest.popen.kill()
        self.assertEqual(guest.end(), -signal.SIGKILL)
        took = time.monotonic() - start + self.assert_gone()
        print(f"       figure: client killed: all gone after {1000 * took:.0f} ms", flush=True)


class DaemonKilled(GuestRing):
    """Point 4: what the daemon does for a guest it has done before the guest begins."""

    def listings(self):
        everyone = self.host.ctl("root", "list", "--json", "--all")
        self.assertEqual((everyone.status, everyone.err), (0, ""))
        return self.ok("list", "--json"), everyone.out

    def start_both(self):
        """A guest with descriptors and one with names, both amid their pings when this returns."""
        descriptors, held = self.run_guest(["--count", "2"], self.qemu("cloud", "guest.pings=160 guest.interval=0.1"))
        # The slower one has the longer list of pings, and starts first.
        descriptors.wait_for("^GUEST-PINGING$")
        grant = self.up("--label", "named")
        names = self.start_with(grant, "pnp", "guest.pings=120 guest.interval=0.1")
        names.wait_for("^GUEST-PINGING$")
        return (descriptors, held), (names, grant)

    def test_no_ping_is_lost(self):
        """Point 4: SIGKILL of the daemon loses no ping of guests of both holds, and `list --json` is the same after."""
        self.up("--count", "3", "--label", "unused", "--idle-timeout", "3600")
        (descriptors, held), (names, grant) = self.start_both()
        before = self.listings()
        self.assertEqual(self.host.daemon.kill(), -9)
        for lease in (held, grant):
            with EchoRequests(lease["taps"][-1]["name"]) as requests:
                requests.wait_for(8)
        self.host.restart_daemon()
        self.assertEqual(self.listings(), before)
        with EchoRequests(grant["taps"][0]["name"]) as requests:
            requests.wait_for(5)
        for guest in (descriptors, names):
            self.assertFalse(guest.has_said("^GUEST-PING "), "the pings were over before the daemon was back")
        self.assert_booted(names, expected_story(nics_of(grant, "pnp"), pings=120))
        self.assert_booted(descriptors, expected_story(nics_of(held, "cloud"), pings=160))

    def test_ends_meanwhile(self):
        """A guest that ends while no daemon runs takes its lease along; the leases held by name are still there."""
        grant = self.up("--count", "2")
        guest, _ = self.run_guest([], self.qemu("pnp", "guest.pings=20 guest.interval=0.1"))
        guest.wait_for("^GUEST-PINGING$")
        self.host.daemon.kill()
        self.assertEqual(guest.end(), 0)
        kernel.wait_for(lambda: len(kernel.ours()) == 2, "the tap ends with its QEMU")
        self.host.restart_daemon()
        self.assertEqual(self.leases(), [grant])
