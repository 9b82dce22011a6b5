# SPDX-License-Identifier: MIT
"""Violent ends while a real guest works. After the end of QEMU nothing may be left. No guest may notice the end of the
daemon."""

import os
import select
import signal
import socket
import time

import pytest

from tests.guest.guest import QEMU, GuestRing, expected_story, nics_of
from tests.lib import kernel
from tests.lib.process import HANGS

pytestmark = pytest.mark.early

ECHO_REQUEST = 8
ETH_P_IP = 0x0800


class EchoRequests:
    """Counts the pings that arrive on a tap, because the guest reports its own count only at its end."""

    def __init__(self, tap):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self.socket.bind((tap, ETH_P_IP))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def wait_for(self, count, limit=HANGS):
        """Wait until so many more have arrived."""
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
        """Point 3: they are gone even if the daemon was killed before, and a new daemon lists no lease."""
        guest = self.start_two()
        self.host.daemon.kill()
        self.assert_gone_with_qemu(guest, "after the daemon")
        self.host.restart_daemon()
        self.assertEqual(self.leases(), [])


class KilledByName(GuestRing):
    """The same for a lease by name: QEMU opens its taps by name, and the client stays as QEMU's parent."""

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
        """After SIGKILL of QEMU the client ends likewise, and taps, addresses and routes are gone by then."""
        guest, qemu = self.start_two()
        os.kill(qemu, signal.SIGKILL)
        self.assertEqual(guest.end(), -signal.SIGKILL)
        self.host.no_trace()
        self.assertEqual(guest.complaints(), "")

    def test_client(self):
        """After SIGKILL of the client QEMU ends, and taps, addresses and routes are gone."""
        guest, _ = self.start_two()
        start = time.monotonic()
        guest.popen.kill()
        self.assertEqual(guest.end(), -signal.SIGKILL)
        took = time.monotonic() - start + self.assert_gone()
        print(f"       figure: client killed: all gone after {1000 * took:.0f} ms", flush=True)


class DaemonKilled(GuestRing):
    """Point 4: the daemon has finished all its work for a guest before the guest starts."""

    def listings(self):
        everyone = self.host.ctl("root", "list", "--json", "--all")
        self.assertEqual((everyone.status, everyone.err), (0, ""))
        return self.ok("list", "--json"), everyone.out

    def start_both(self):
        """Start a guest on descriptors and a guest on names; both are pinging when this returns."""
        descriptors, held = self.run_guest(["--count", "2"], self.qemu("cloud", "guest.pings=160 guest.interval=0.1"))
        # The cloud guest boots more slowly and pings longer, so it starts first.
        descriptors.wait_for("^GUEST-PINGING$")
        grant = self.up("--label", "named")
        names = self.start_with(grant, "pnp", "guest.pings=120 guest.interval=0.1")
        names.wait_for("^GUEST-PINGING$")
        return (descriptors, held), (names, grant)

    def test_no_ping_is_lost(self):
        """Point 4: SIGKILL of the daemon costs guests of both holds no ping, and the next one lists the same leases."""
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
        """A guest that ends while no daemon runs takes its lease with it; leases by name are still there."""
        grant = self.up("--count", "2")
        guest, _ = self.run_guest([], self.qemu("pnp", "guest.pings=20 guest.interval=0.1"))
        guest.wait_for("^GUEST-PINGING$")
        self.host.daemon.kill()
        self.assertEqual(guest.end(), 0)
        kernel.wait_for(lambda: len(kernel.ours()) == 2, "the tap ends with its QEMU")
        self.host.restart_daemon()
        self.assertEqual(self.leases(), [grant])
