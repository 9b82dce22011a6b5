# SPDX-License-Identifier: MIT
"""A guest whose QEMU gets its tap from qemu-tap-helper. The helper cannot give the guest its address, so the user asks
for the ip= words before, as the manual page says."""

from tests.guest.echo import answers
from tests.guest.guest import GuestRing, Nic, expected_story
from tests.lib import kernel

# The MAC that QEMU gives to a first NIC without one.
DEFAULT_MAC = "52:54:00:12:34:56"


class Boots(GuestRing):
    def boots(self, model):
        helper = self.host.share(f"{self.host.build}/client/programs/tap_helper/qemu-tap-helper")
        words = self.ok("up", "--label", "web", "--format", "cmdline").strip()
        self.ok("down", "web")
        self.host.no_trace()
        guest = self.start(*self.qemu("pnp", f"{words} guest.interval=0.2 guest.end=wait"),
                           "-nic", f"bridge,br=web,model={model},helper={helper}")
        guest.wait_for("^GUEST-WAITING$")
        (lease,) = self.leases()
        self.assertEqual((lease["hold"], lease["label"], lease["kernel_cmdline"]), ("fd", "web", words))
        (tap,) = lease["taps"]
        nic = Nic(DEFAULT_MAC, f"{tap['client']}/{tap['prefix_length']}", tap["gateway"])
        self.assertEqual(guest.story(), [*expected_story([nic]), "GUEST-WAITING"])
        self.assertTrue(answers(tap["client"]), f"no answer from {tap['client']}")
        guest.kill()
        self.assert_gone()
        self.assertEqual(guest.complaints(), "")

    def test_virtio(self):
        """`-nic bridge,helper=`: the guest has the address that its label gets, and answers the host's ping."""
        self.boots("virtio-net-pci")

    def test_e1000(self):
        """An e1000, which knows no virtio headers, works on the same tap, which has them: QEMU asks the kernel."""
        self.boots("e1000")

    def test_ends_itself(self):
        """A guest that powers itself off leaves nothing."""
        helper = self.host.share(f"{self.host.build}/client/programs/tap_helper/qemu-tap-helper")
        guest = self.start(*self.qemu("pnp", "guest.pings=0"),
                           "-nic", f"bridge,model=virtio-net-pci,helper={helper}")
        kernel.wait_for(kernel.present("tap8"), "the helper's tap")
        self.assertEqual(guest.end(), 0)
        self.assert_gone()
