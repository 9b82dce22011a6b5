# SPDX-License-Identifier: MIT
"""A user's guest boots, and each of its NICs is paired with its tap, has its address and reaches its gateway. This
holds for both ways to hold a lease and for both readers of `ip=` in a guest. No other test would notice one `ip=` too
many or in the wrong order."""

import json
import shlex

from tests.guest.guest import GuestRing, expected_story, nics_of
from tests.lib import kernel


class Boots:
    """The tests for both guests. `image` names the guest that is booted."""

    image = None

    def words(self, count):
        return f"guest.nics={count} guest.interval=0.2"

    def boots_with_descriptors(self, count, queues=1):
        guest, lease = self.run_guest(["--count", str(count), "--queues", str(queues)],
                                      self.qemu(self.image, self.words(count), processors=queues))
        self.assertEqual(len(lease["taps"]), count)
        self.assert_booted(guest, expected_story(nics_of(lease, self.image), queues))
        self.assert_gone()
        self.assertEqual(self.leases(), [])

    def boots_with_names(self, count, queues=1):
        grant = self.up("--count", str(count), "--queues", str(queues))
        self.assertEqual(len(grant["taps"]), count)
        guest = self.start_with(grant, self.image, self.words(count), processors=queues)
        self.assert_booted(guest, expected_story(nics_of(grant, self.image), queues))
        names = [tap["name"] for tap in grant["taps"]]
        kernel.stays(kernel.present(*names), 0.3, "a lease held by name outlives QEMU")
        self.assertEqual(self.leases(), [grant])
        self.ok("down", grant["lease"])
        self.host.no_trace()

    def test_fd_one_nic(self):
        """`run`: the NIC has the grant's MAC and address and reaches its gateway; nothing is left after QEMU's end."""
        self.boots_with_descriptors(1)

    def test_fd_two_nics(self):
        """`run --count 2`: eth0 is the first tap and has the only default route; nothing is left after QEMU's end."""
        self.boots_with_descriptors(2)

    def test_fd_four_nics(self):
        """`run --count 4`: eth0 to eth3 are the taps in their order; nothing is left after QEMU's end."""
        self.boots_with_descriptors(4)

    def test_fd_two_queues(self):
        """`run --count 2 --queues 2`: the guest uses two queues on each NIC and pings through them."""
        self.boots_with_descriptors(2, queues=2)

    def test_name_one_nic(self):
        """`up`: a user starts QEMU with the printed words, the NIC works, and the lease stays until `down`."""
        self.boots_with_names(1)

    def test_name_two_nics(self):
        """`up --count 2`: eth0 is the first tap and has the only default route; the lease stays until `down`."""
        self.boots_with_names(2)

    def test_name_four_nics(self):
        """`up --count 4`: eth0 to eth3 are the taps in their order; the lease stays until `down`."""
        self.boots_with_names(4)

    def test_name_two_queues(self):
        """`up --count 2 --queues 2`: the guest uses two queues on each NIC and pings through them."""
        self.boots_with_names(2, queues=2)


class Cloud(Boots, GuestRing):
    """A guest with Debian's kernel: klibc's ipconfig reads every `ip=`, so all NICs have addresses."""

    image = "cloud"


class Pnp(Boots, GuestRing):
    """A guest whose kernel reads `ip=` itself, and only the last one: only the primary NIC has an address."""

    image = "pnp"

    def test_again(self):
        """One lease by name serves one QEMU after the other, the second one with the words of `args`."""
        grant = self.up("--count", "2", "--label", "again")
        self.assert_booted(self.start_with(grant, self.image, self.words(2)),
                           expected_story(nics_of(grant, self.image)))
        said = json.loads(self.ok("args", "again", "--format", "json"))
        words = shlex.split(self.ok("args", "again"))
        self.assertEqual(words, grant["qemu_args"])
        self.assert_booted(self.start_with({**said, "qemu_args": words}, self.image, self.words(2)),
                           expected_story(nics_of(grant, self.image)))
