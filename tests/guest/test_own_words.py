# SPDX-License-Identifier: MIT
"""A caller's command has words of its own: an `ip=`, NICs, another model, a shell script around QEMU. The client leaves
them as they are, and what it adds fits them: a guest boots with both and reports."""

import os
import re
import shlex

from tests.guest.guest import QEMU, USER, GuestRing, Nic, expected_story, nics_of
from tests.lib import users

PINGS = "guest.interval=0.2"
# The MAC that QEMU gives to a first NIC without one.
DEFAULT_MAC = "52:54:00:12:34:56"


class Append(GuestRing):
    def test_ip_already_there(self):
        """An -append with ip= stays as it is, with a warning of one line, and the guest has the caller's address."""
        own = f"ip=192.168.8.9::192.168.8.1:255.255.255.0::eth0:off {PINGS}"
        guest, lease = self.run_guest([], self.qemu("pnp", own))
        (tap,) = lease["taps"]
        self.assertEqual(tap["gateway"], "192.168.8.1")
        status = guest.end()
        self.assertEqual(guest.story(), expected_story([Nic(tap["mac"], "192.168.8.9/24", tap["gateway"])]))
        self.assertEqual(status, 0)
        self.assertRegex(guest.complaints(), r"\Aqemu-tapctl: [^\n]*ip=[^\n]*\n\Z")

    def test_no_append(self):
        """With -kernel and without -append the guest has its address."""
        command = self.qemu("pnp")
        self.assertEqual(command[-2:], ["-append", ""])
        guest, lease = self.run_guest(["--count", "2"], command[:-2])
        self.assert_booted(guest, expected_story(nics_of(lease, "pnp")))

    def test_no_kernel(self):
        """Without -kernel QEMU starts with its taps and without -append, which it would refuse."""
        # The greeting of QEMU's monitor shows that QEMU has accepted its command line.
        guest, lease = self.run_guest(["--count", "2"], [QEMU, "-machine", "pc,accel=tcg", "-m", "64", "-nodefaults",
                                                         "-display", "none", "-S", "-monitor", "stdio"])
        guest.wait_for("QEMU .* monitor")
        self.assertEqual(len(lease["taps"]), 2)
        self.assertNotIn("-append", guest.words())
        self.assertEqual(guest.kill(), -9)
        self.assertRegex(guest.complaints(), r"\Aqemu-tapctl: no -kernel [^\n]*ip=[^\n]*\n\Z")
        self.assert_gone()


class Nics(GuestRing):
    """The caller's NIC comes first: it is eth0, and the added ones are numbered from eth1."""

    def boots_beside(self, image, own):
        words = f"{PINGS} guest.nics=3 guest.addresses={2 if image == 'cloud' else 1}"
        guest, lease = self.run_guest(["--count", "2"], [*self.qemu(image, words), *own])
        guest.wait_for("^GUEST-PINGING$")
        ids = [re.search(r",id=([^,]*)", word).group(1) for word in guest.words() if word.startswith("tap,")]
        self.assertEqual(ids, ["tapctl0", "tapctl1"])
        nics = [Nic(DEFAULT_MAC), *nics_of(lease, image)]
        self.assert_booted(guest, expected_story(nics, primary=1))

    def test_own_device_cloud(self):
        """Beside the caller's net0 the added NICs eth1 and eth2 have their addresses (klibc reads ip=)."""
        self.boots_beside("cloud", ["-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0"])

    def test_own_device_pnp(self):
        """Beside the caller's net0 the added NIC eth1 has its address (the kernel reads ip=)."""
        self.boots_beside("pnp", ["-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0"])

    def test_own_nic_option(self):
        """A caller's NIC given by -nic counts as eth0 too."""
        self.boots_beside("pnp", ["-nic", "user,model=virtio-net-pci"])

    def test_own_device_in_script(self):
        """With --first-nic the caller's NIC may be in a script that runs QEMU, or in a file that QEMU reads."""
        config = f"{users.HOMES}/{USER}/qemu.conf"
        with open(config, "w", encoding="ascii") as file:
            file.write('[netdev "net0"]\n  type = "user"\n\n[device]\n  driver = "virtio-net-pci"\n  netdev = "net0"\n')
        self.addCleanup(os.unlink, config)
        words = ["-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0"]
        for own in (words, ["-readconfig", config]):
            with self.subTest(own=own):
                command = self.qemu("pnp", f"{PINGS} guest.nics=2 guest.addresses=1")
                script = f'shift; exec {shlex.join([QEMU, *own])} "$@"'
                guest, lease = self.run_guest(["--first-nic", "1"], ["sh", "-c", script, "sh", *command])
                self.assert_booted(guest, expected_story([Nic(DEFAULT_MAC), *nics_of(lease, "pnp")], primary=1))

    def test_nic_none(self):
        """`-nic none` counts as no NIC: the added one is eth0."""
        guest, lease = self.run_guest([], [*self.qemu("pnp", f"{PINGS} guest.nics=1"), "-nic", "none"])
        self.assertIn("virtio-net-pci,netdev=tapctl0,mac=" + lease["taps"][0]["mac"], guest.words())
        self.assert_booted(guest, expected_story(nics_of(lease, "pnp")))


class Model(GuestRing):
    def test_e1000_fd(self):
        """`run --device e1000 --count 2`: e1000 NICs boot with the grant's MACs and address."""
        guest, lease = self.run_guest(["--count", "2", "--device", "e1000"], self.qemu("pnp", PINGS))
        self.assert_booted(guest, expected_story(nics_of(lease, "pnp")))

    def test_e1000_name(self):
        """`up --device e1000`: an e1000 NIC boots with the grant's MAC and address."""
        grant = self.up("--device", "e1000")
        self.assertTrue(grant["qemu_args"][3].startswith("e1000,"), grant["qemu_args"])
        self.assert_booted(self.start_with(grant, "pnp", PINGS), expected_story(nics_of(grant, "pnp")))


class Placeholders(GuestRing):
    def test_without_virtio_header(self):
        """With --vnet off frames have no virtio header; QEMU asks the descriptor, and pings are answered."""
        guest, lease = self.run_guest(["--vnet", "off"], self.qemu("pnp", PINGS))
        self.assert_booted(guest, expected_story(nics_of(lease, "pnp")))

    def test_qemu(self):
        """A command with placeholders only, as for any other program: the guest has its addresses and pings."""
        command = self.qemu("cloud", f"{PINGS} guest.nics=2 {{cmdline}}")
        for number in (0, 1):
            command += ["-netdev", f"tap,id=wire{number},fds={{fds{number}}}",
                        "-device", f'{{"driver":"virtio-net-pci","netdev":"wire{number}","mac":"{{mac{number}}}"}}']
        guest, lease = self.run_guest(["--count", "2"], command)
        guest.wait_for("^GUEST-PINGING$")
        self.assertEqual(guest.words().count("-netdev"), 2)
        self.assertEqual(guest.words().count("-append"), 1)
        self.assert_booted(guest, expected_story(nics_of(lease, "cloud")))
        self.assert_gone()


class Shell(GuestRing):
    def test_env(self):
        """`--format env` in a shell script: QEMU boots with $QEMU_TAP_ARGS and $QEMU_TAP_CMDLINE."""
        command = self.qemu("pnp")[:-2]
        script = ('set -e; words=$(qemu-tapctl up --count 2 --label script --format env); eval "$words"; '
                  f'exec "$@" $QEMU_TAP_ARGS -append "$QEMU_TAP_CMDLINE {PINGS} guest.nics=$QEMU_TAP_COUNT"')
        guest = self.start("sh", "-c", script, "script", *command)
        guest.wait_for("^GUEST-PINGING$")
        (lease,) = self.leases()
        self.assertEqual((lease["label"], len(lease["taps"])), ("script", 2))
        self.assert_booted(guest, expected_story(nics_of(lease, "pnp")))
        self.ok("down", "script")
        self.host.no_trace()
