# SPDX-License-Identifier: MIT
"""`ip=` names the guest's NICs by number, and the guest gives the numbers. The client adds NICs beside those that the
caller wrote in any of the forms of qemu(1). Each added NIC gets its own address, or a warning says what was assumed."""

import pytest

from tests.guest.guest import GuestRing, Nic, expected_story, nics_of

pytestmark = pytest.mark.early

DEFAULT_MAC = "52:54:00:12:34:56"
PINGS = "guest.interval=0.2"
VIRTIO = ("-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0")
MMIO = ("-netdev", "user,id=net0", "-device", "virtio-net-device,netdev=net0")
E1000 = ("-netdev", "user,id=net0", "-device", "e1000,netdev=net0")
WARNING = r"\Aqemu-tapctl: [^\n]* eth{} is taken for tap8; [^\n]*--first-nic\n\Z"


class OrderRing(GuestRing):
    image = "pnp"

    def assert_first(self, first, own, options=(), machine="pc", warned=False, count=2, words=""):
        """Require that the first added NIC is ethFIRST beside at most one NIC of the caller, and that the added NICs
        that this guest configures have their own addresses and reach the host."""
        total = count + (1 if own else 0)
        configured = 1 if self.image == "pnp" else count
        command = self.qemu(self.image, f"{PINGS} guest.nics={total} guest.addresses={configured} {words}")
        command[command.index("-machine") + 1] = f"{machine},accel=tcg"
        guest, lease = self.run_guest(["--count", str(count), *options], [*command, *own])
        nics = nics_of(lease, self.image)
        if own:
            nics.insert(count if first == 0 else 0, Nic(DEFAULT_MAC))
        self.assert_ended_well(guest, expected_story(nics, primary=first))
        self.assertRegex(guest.complaints(), WARNING.format(first) if warned else r"\A\Z")

    def assert_ended_well(self, guest, story):
        status = guest.end()
        self.assertEqual((guest.story(), status), (story, 0))


class X86(OrderRing):
    def test_machines_own_choice(self):
        """Beside the pc's own e1000 (-nic, -net) added virtio NICs come first, and the client warns."""
        for own in (("-nic", "user"), ("-net", "nic", "-net", "user")):
            with self.subTest(own=own):
                self.assert_first(0, own, warned=True)

    def test_same_model(self):
        """Of NICs of one driver the caller's comes first, on pc and q35, and there is no warning."""
        for machine, own, options in (("pc", VIRTIO, ()), ("q35", E1000, ("--device", "e1000"))):
            with self.subTest(machine=machine, own=own):
                self.assert_first(1, own, options, machine)

    def test_other_model(self):
        """Beside the caller's virtio NIC added e1000 NICs come second, and the client warns."""
        self.assert_first(1, VIRTIO, ("--device", "e1000"), warned=True)

    def test_behind_bridge(self):
        """A caller's NIC behind a bridge comes after the added ones."""
        self.assert_first(0, ("-device", "pci-bridge,id=far,chassis_nr=1", *VIRTIO[:3], f"{VIRTIO[3]},bus=far"))

    def test_behind_root_port(self):
        """A caller's NIC behind a root port of q35 comes after the added ones."""
        self.assert_first(0, ("-device", "pcie-root-port,id=far", *VIRTIO[:3], f"{VIRTIO[3]},bus=far"), machine="q35")

    def test_told(self):
        """With --first-nic the client assumes nothing about a caller's NIC at an address after the added ones."""
        self.assert_first(0, (*VIRTIO[:3], f"{VIRTIO[3]},addr=1e"), ("--first-nic", "0"))

    def test_microvm(self):
        """A microvm finds its virtio-mmio NICs in the order of the command, the caller's first."""
        for own, first in (((), 0), (MMIO, 1)):
            with self.subTest(own=own):
                # -no-reboot does not see the reset that a microvm's guest uses by default.
                self.assert_first(first, own, ("--device", "virtio-net-device"), "microvm,acpi=off", words="reboot=t")


class Virt(OrderRing):
    """Arm's virt. Its kernel is Debian's, with drivers as modules, and reads every ip=."""

    images = ("arm64",)
    image = "arm64"
    MACHINE = "virt"
    ON_MMIO = ("--device", "virtio-net-device")

    def test_mmio(self):
        """Three virtio-mmio NICs are numbered in the order of the taps."""
        self.assert_first(0, (), self.ON_MMIO, self.MACHINE, count=3)

    def test_mmio_beside_own(self):
        """A caller's virtio-mmio NIC without bus= comes after the added ones, one with a lower bus= before them."""
        self.assert_first(0, MMIO, self.ON_MMIO, self.MACHINE)
        self.assert_first(1, (*MMIO[:3], f"{MMIO[3]},bus=virtio-mmio-bus.5"), self.ON_MMIO, self.MACHINE)

    def test_pci(self):
        """On PCI the caller's NIC comes first, in each form of the command."""
        for own in (VIRTIO, ("-nic", "user"), ("-net", "nic", "-net", "user")):
            with self.subTest(own=own):
                self.assert_first(1, own, machine=self.MACHINE)

    def test_mixed(self):
        """Virtio-mmio NICs come before PCI ones, whosever they are, with a warning: their driver loads first here."""
        self.assert_first(0, VIRTIO, self.ON_MMIO, self.MACHINE, warned=True)
        self.assert_first(1, MMIO, machine=self.MACHINE, warned=True)


class Virt32(Virt):
    """The same with 32 bits, where Debian's kernel reaches PCI only with highmem=off."""

    images = ("armhf",)
    image = "armhf"
    MACHINE = "virt,highmem=off"
