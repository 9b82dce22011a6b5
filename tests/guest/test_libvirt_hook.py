# SPDX-License-Identifier: MIT
"""The example hook for libvirt's system mode in its real place: root's libvirtd calls it, and a domain opens the
service's tap by name as an <interface type='ethernet'>."""

import json
import os
import shutil
import subprocess

from tests.guest.echo import answers
from tests.guest.guest import CACHE, GuestRing, Nic, expected_story
from tests.guest.libvirt import Console, Libvirt
from tests.lib import furnish, kernel, users
from tests.lib.host import TREE

HOOK = "/etc/libvirt/hooks/qemu"
MAC = "52:54:00:aa:00:03"
NIC = f"<interface type='ethernet'><mac address='{MAC}'/><target dev='{{tap}}' managed='no'/><model type='virtio'/>" \
      "</interface>"
# libvirtd must not change owners, labels or cgroups: the kernel and initramfs belong to the machine.
SETTINGS = ('security_driver = "none"', "dynamic_ownership = 0", "cgroup_controllers = []", "namespaces = []")


class Hook(GuestRing):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not shutil.which("libvirtd"):
            raise RuntimeError("libvirtd is not installed: apt-get install libvirt-daemon libvirt-daemon-driver-qemu")
        for path in ("/run/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt"):
            os.makedirs(path, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", path], check=True)
        users.add_libvirts_user()
        # While its user cannot open /dev/kvm, libvirtd probes QEMU again for each call. The guests are emulated anyway.
        if os.path.exists("/dev/kvm"):
            os.unlink("/dev/kvm")
        os.makedirs(os.path.dirname(HOOK), exist_ok=True)
        shutil.copy(f"{TREE}/dbus/examples/libvirt-hook.py", HOOK)

    def setUp(self):
        super().setUp()
        self.libvirt = Libvirt(self.host, "root", "qemu:///system", "/etc/libvirt/qemu.conf", "/run/libvirt")
        self.addCleanup(self.libvirt.close)
        self.libvirt.configure(*SETTINGS)
        self.libvirt.start()
        self.console = Console(f"{furnish.RIG}/console-web")
        self.addCleanup(self.console.close)

    def evidence(self):
        said = f"the guest wrote: {self.console.lines}\nlibvirtd's log:\n{self.libvirt.daemon.log()}"
        return f"{super().evidence()}\n{said}"

    def define(self, tap, words=""):
        kernel_file, initrd = (self.host.share(f"{CACHE}/pnp/{file}", f"pnp-{file}") for file in ("vmlinuz", "initrd"))
        self.libvirt.define("web", kernel=kernel_file, initrd=initrd, console=self.console.path,
                            words=f"{words} guest.interval=0.2 guest.end=wait", nic=NIC.format(tap=tap))

    def refusal(self):
        """Return virsh's error for a domain that the hook does not allow to start."""
        done = self.libvirt.virsh("start", "web")
        self.assertEqual(done.status, 1, done)
        return done.err

    def root_leases(self):
        done = self.host.ctl("root", "list", "--json")
        self.assertEqual((done.status, done.err), (0, ""), done)
        return json.loads(done.out)

    def test_domain(self):
        """The hook's first refusal names a free device; with it the guest has that tap's address and leaves nothing."""
        self.define("tap9999")
        refused = self.refusal()
        self.assertIn("set it to dev tap", refused)
        tap = refused.split("set it to dev ", 1)[1].split()[0]
        self.host.no_trace()
        index = int(tap.removeprefix("tap"))
        gateway, client = f"192.168.{index}.1", f"192.168.{index}.2"
        self.define(tap, f"ip={client}::{gateway}:255.255.255.0::eth0:off")
        done = self.libvirt.virsh("start", "web")
        self.assertEqual((done.status, done.err), (0, ""), done)
        self.console.hear("^GUEST-WAITING$")
        self.assertEqual(self.console.story(),
                         [*expected_story([Nic(MAC, f"{client}/24", gateway)]), "GUEST-WAITING"])
        self.assertTrue(answers(client), f"no answer from {client}")
        self.assertEqual(list(kernel.ours()), [tap])
        self.assertEqual(self.libvirt.virsh("destroy", "web").status, 0)
        self.assert_gone()
        self.assertEqual(self.root_leases(), [])

    def test_no_service(self):
        """Without the service the domain does not start, and virsh shows the error that the hook got."""
        self.define("tap9")
        self.host.stop_daemon()
        self.assertIn("org.freedesktop.DBus.Error.ServiceUnknown", self.refusal())
        self.host.no_trace()
