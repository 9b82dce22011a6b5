# SPDX-License-Identifier: MIT
"""libvirt's session mode with qemu-tap-helper as its bridge_helper. An ordinary user has domains with an ordinary
<interface type='bridge'>, and the host reaches their guests. Only the service runs as root."""

import os
import re
import shutil

from tests.guest.echo import answers
from tests.guest.guest import CACHE, USER, GuestRing, Nic, expected_story
from tests.guest.libvirt import Console, Libvirt
from tests.lib import furnish, kernel, users
from tests.lib.host import TREE

HOME = f"{users.HOMES}/{USER}"
CONFIGURATION = f"{HOME}/.config/libvirt/qemu.conf"
PAGE = f"{TREE}/doc/man/qemu-tap-helper.8"
MACS = {"vm1": "52:54:00:aa:00:01", "vm2": "52:54:00:aa:00:02"}
NIC = "<interface type='bridge'><mac address='{mac}'/><source bridge='{bridge}'/><model type='{model}'/></interface>"


class Session(GuestRing):
    def setUp(self):
        super().setUp()
        if not shutil.which("libvirtd"):
            raise RuntimeError("libvirtd is not installed: apt-get install libvirt-daemon libvirt-daemon-driver-qemu")
        self.helper = self.host.share(f"{self.host.build}/client/programs/tap_helper/qemu-tap-helper")
        self.libvirt = Libvirt(self.host, USER, "qemu:///session", CONFIGURATION, f"{HOME}/.cache/libvirt")
        self.addCleanup(self.libvirt.close)
        self.consoles = {}

    def evidence(self):
        said = "\n".join(f"{name} wrote: {console.lines}" for name, console in self.consoles.items())
        daemon = self.libvirt.daemon.log() if self.libvirt.daemon else ""
        return f"{super().evidence()}\n{said}\nlibvirtd's log:\n{daemon}"

    def start_libvirt(self, helper=None):
        self.libvirt.configure(f'bridge_helper = "{helper or self.helper}"')
        self.libvirt.start()

    def address_words(self, label):
        """Return the guest's ip= words, which a user gets as qemu-tap-helper's page says."""
        words = self.ok("up", "--label", label, "--format", "cmdline").strip()
        self.ok("down", label)
        return words

    def define(self, name, bridge=None, model="virtio"):
        """Define a domain whose guest has its address, reports, and then waits to be destroyed."""
        kernel_file, initrd = (self.host.share(f"{CACHE}/pnp/{file}", f"pnp-{file}") for file in ("vmlinuz", "initrd"))
        console = self.consoles[name] = Console(f"{furnish.RIG}/console-{name}")
        self.addCleanup(console.close)
        words = self.address_words(bridge or name)
        self.libvirt.define(name, kernel=kernel_file, initrd=initrd, console=console.path,
                            words=f"{words} guest.interval=0.2 guest.end=wait",
                            nic=NIC.format(bridge=bridge or name, model=model, mac=MACS[name]))

    def start_domain(self, name):
        done = self.libvirt.virsh("start", name)
        self.assertEqual((done.status, done.err), (0, ""), done)
        self.consoles[name].hear("^GUEST-WAITING$")

    def destroy(self, name):
        done = self.libvirt.virsh("destroy", name)
        self.assertEqual((done.status, done.err), (0, ""), done)

    def tap_of(self, label):
        (lease,) = [lease for lease in self.leases() if lease["label"] == label]
        self.assertEqual(lease["hold"], "fd")
        (tap,) = lease["taps"]
        return tap

    def assert_reached(self, name):
        """Require that guest and host reach each other at the lease's addresses; return the tap."""
        tap = self.tap_of(name)
        nic = Nic(MACS[name], f"{tap['client']}/{tap['prefix_length']}", tap["gateway"])
        self.assertEqual(self.consoles[name].story(), [*expected_story([nic]), "GUEST-WAITING"])
        self.assertTrue(answers(tap["client"]), f"no answer from {tap['client']}")
        return tap


class Domains(Session):
    def test_two_domains(self):
        """Two domains of one user, with virtio and e1000, are reached; each ends its own tap; nothing is left."""
        self.start_libvirt()
        self.define("vm1")
        self.define("vm2", model="e1000")
        self.host.mark()
        for name in ("vm1", "vm2"):
            self.start_domain(name)
        first, second = self.assert_reached("vm1"), self.assert_reached("vm2")
        self.assertEqual(len(kernel.ours()), 2)
        self.destroy("vm1")
        kernel.wait_for(kernel.absent(first["name"]), "the tap ends with its domain")
        self.assertTrue(answers(second["client"]))
        self.destroy("vm2")
        self.assert_gone()
        self.assertEqual(self.leases(), [])

    def test_again(self):
        """A domain that starts a second time has the same address again."""
        self.start_libvirt()
        self.define("vm1")
        self.start_domain("vm1")
        before = self.assert_reached("vm1")
        self.destroy("vm1")
        kernel.wait_for(kernel.absent(before["name"]), "the tap ends with its domain")
        self.start_domain("vm1")
        self.assertEqual(self.assert_reached("vm1"), before)
        self.destroy("vm1")
        self.assert_gone()

    def test_daemon_ends(self):
        """A domain's guest does not notice the end of the service, and its tap still ends with it."""
        self.start_libvirt()
        self.define("vm1")
        self.start_domain("vm1")
        tap = self.assert_reached("vm1")
        self.host.daemon.kill()
        self.assertTrue(answers(tap["client"]))
        self.destroy("vm1")
        self.assert_gone()

    def test_refused(self):
        """virsh reports the action and the group to a user who may not have taps; nothing is left."""
        # Debian 13's polkit checks the groups that a process started with, Debian 12's those that the user has now.
        users.set_members()
        self.start_libvirt()
        users.set_members("alice")
        self.define("vm1")
        users.set_members()
        done = self.libvirt.virsh("start", "vm1")
        self.assertEqual(done.status, 1)
        for part in ("qemu-tap-helper: ", "org.qemutap.acquire", "qemu-tap"):
            self.assertIn(part, done.err)
        self.host.no_trace()


class Script(Session):
    """The script that the page shows for users who also have domains on real bridges, taken from the page."""

    def setUp(self):
        super().setUp()
        with open(PAGE, encoding="utf-8") as file:
            page = file.read().replace("\\-", "-")
        (text,) = re.findall(r"^(#!/bin/sh\n.*?)^\.Ed", page, re.MULTILINE | re.DOTALL)
        self.assertEqual(text.count("/usr/libexec/qemu-tap-helper"), 1)
        self.script = f"{HOME}/helper"
        self.libvirt.write(self.script, text.replace("/usr/libexec/qemu-tap-helper", self.helper))
        os.chmod(self.script, 0o755)
        self.start_libvirt(self.script)

    def test_no_bridge(self):
        """A name that no bridge has gets a tap of the service."""
        self.define("vm1")
        self.start_domain("vm1")
        self.assert_reached("vm1")
        self.destroy("vm1")
        self.assert_gone()

    def test_bridge(self):
        """An existing bridge is left to QEMU's own helper, which reports here that it has no list of bridges."""
        self.define("vm1", bridge="virbr7")
        kernel.ip("link", "add", "virbr7", "type", "bridge")
        self.host.mark()
        done = self.libvirt.virsh("start", "vm1")
        self.assertEqual(done.status, 1)
        self.assertNotIn("qemu-tap-helper: ", done.err)
        self.assertIn("/etc/qemu/bridge.conf", done.err)
        self.host.no_trace()
