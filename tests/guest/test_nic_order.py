# SPDX-License-Identifier: MIT
"""`ip=` names the guest's NICs by number, and the guest counts: beside NICs of the caller's, in each form in which
qemu(1) lets them be written, ours are told their own addresses, or a warning says what was assumed."""

from guest import GuestRing, Nic, expected_story, nics_of

DEFAULT_MAC = "52:54:00:12:34:56"
PINGS = "guest.interval=0.2 guest.nics=3 guest.addresses=1"
VIRTIO = ("-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0")
E1000 = ("-netdev", "user,id=net0", "-device", "e1000,netdev=net0")
WARNING = r"\Aqemu-tapctl: [^\n]* eth{} is taken for tap8; [^\n]*--first-nic\n\Z"


class Order(GuestRing):
    def assert_first(self, first, own, options=(), machine="pc", warned=False):
        """Of three NICs, two are ours; the first of them is ethFIRST, has its address and reaches the host."""
        command = self.qemu("pnp", PINGS)
        command[command.index("-machine") + 1] = f"{machine},accel=tcg"
        guest, lease = self.run_guest(["--count", "2", *options], [*command, *own])
        nics = nics_of(lease, "pnp")
        nics.insert(2 if first == 0 else 0, Nic(DEFAULT_MAC))
        self.assert_ended_well(guest, expected_story(nics, primary=first))
        self.assertRegex(guest.complaints(), WARNING.format(first) if warned else r"\A\Z")

    def assert_ended_well(self, guest, story):
        status = guest.end()
        self.assertEqual((guest.story(), status), (story, 0))

    def test_machines_own_choice(self):
        """Beside the pc's own e1000, by -nic and by -net, ours of virtio are found first, which is warned of."""
        for own in (("-nic", "user"), ("-net", "nic", "-net", "user")):
            with self.subTest(own=own):
                self.assert_first(0, own, warned=True)

    def test_same_model(self):
        """Of one driver the caller's comes first, whatever driver and machine, and there is nothing to warn of."""
        for machine, own, options in (("pc", VIRTIO, ()), ("q35", E1000, ("--device", "e1000"))):
            with self.subTest(machine=machine, own=own):
                self.assert_first(1, own, options, machine)

    def test_other_model(self):
        """Beside the caller's virtio ours of e1000 are found behind it, which is warned of."""
        self.assert_first(1, VIRTIO, ("--device", "e1000"), warned=True)

    def test_behind_bridge(self):
        """A caller's NIC behind a bridge of the bus is found behind ours."""
        self.assert_first(0, ("-device", "pci-bridge,id=far,chassis_nr=1", *VIRTIO[:3], f"{VIRTIO[3]},bus=far"))

    def test_behind_root_port(self):
        """So is one behind a root port of q35."""
        self.assert_first(0, ("-device", "pcie-root-port,id=far", *VIRTIO[:3], f"{VIRTIO[3]},bus=far"), machine="q35")

    def test_told(self):
        """A caller's NIC in a place of its own beyond ours: --first-nic says so, and nothing is assumed."""
        self.assert_first(0, (*VIRTIO[:3], f"{VIRTIO[3]},addr=1e"), ("--first-nic", "0"))
