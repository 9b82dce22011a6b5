# SPDX-License-Identifier: MIT
"""The shipped examples of the bus API work unchanged, because users copy them. This test calls the libvirt hook as
libvirt would; the guest ring runs it under a real libvirtd."""

import json
import os
import re
import subprocess

from tests.bus.ring import BusRing, error_name
from tests.lib import kernel
from tests.lib.host import TREE

FOLDER = f"{TREE}/dbus/examples"


class ExamplesRing(BusRing):
    def example(self, name):
        return self.host.share(f"{FOLDER}/{name}")

    def assert_gone(self):
        kernel.wait_for(lambda: not kernel.ours(), "the lease ends with the example")
        self.host.no_trace()


class Shell(ExamplesRing):
    def test_two_taps(self):
        """While with-taps.sh runs its command, List shows two taps under the label; afterwards nothing is left."""
        done = self.host.run("alice", self.example("with-taps.sh"), "web", "qemu-tapctl", "list", "--json")
        self.assertEqual((done.status, done.err), (0, ""), done)
        shown, told = done.out.split("\n", 1)
        (lease,) = json.loads(told)
        self.assertEqual((lease["label"], lease["hold"], len(lease["taps"])), ("web", "name", 2))
        (listed,) = json.loads(shown)["data"][0]
        self.assertEqual(listed["lease"]["data"], lease["lease"])
        self.assert_gone()

    def test_status(self):
        """with-taps.sh ends with its command's exit status, and the lease ends even if the command fails."""
        done = self.host.run("alice", self.example("with-taps.sh"), "web", "sh", "-c", "exit 42")
        self.assertEqual((done.status, done.err), (42, ""))
        self.assert_gone()

    def test_interrupted(self):
        """A signal that ends with-taps.sh ends the lease too."""
        popen = self.host.start("alice", self.example("with-taps.sh"), "web", "sh", "-c", "kill -TERM $PPID")
        popen.communicate()
        self.assertEqual(popen.returncode, 1)
        self.assert_gone()

    def test_refused(self):
        """A user without permission gets the service's error text, and the command is not run."""
        done = self.host.run("dave", self.example("with-taps.sh"), "web", "echo", "run")
        self.assertNotEqual(done.status, 0)
        self.assertEqual(done.out, "")
        self.assertIn("org.qemutap.acquire", done.err)
        self.host.no_trace()


class Python(ExamplesRing):
    def test_becomes_qemu(self):
        """with-tap.py executes QEMU with a tap of its own, and the lease ends with QEMU."""
        qemu = self.host.start("alice", self.example("with-tap.py"), "qemu-system-x86_64", "-machine", "pc,accel=tcg",
                               "-nodefaults", "-display", "none", "-S", "-qmp", "stdio", stdin=subprocess.PIPE)
        self.addCleanup(self._end, qemu)
        self.assertIn(b'"QMP"', qemu.stdout.readline())
        (lease,) = self.leases("alice")
        self.assert_grant(lease, "alice", [8], hold="fd")
        self.assertEqual(os.readlink(f"/proc/{qemu.pid}/exe").rsplit("/", 1)[1], "qemu-system-x86_64")
        qemu.kill()
        self.assertRegex(qemu.stderr.read().decode(),
                         rf"\Alease {lease['lease']}: tap8, 192\.168\.8\.1/24, for the guest 192\.168\.8\.2\n\Z")
        self.assert_gone()

    def test_refused(self):
        """A user without permission gets the error's name and text in one line."""
        done = self.host.run("dave", self.example("with-tap.py"), "true")
        self.assertEqual((done.status, done.out), (1, ""))
        name = re.escape(error_name("NotAuthorized"))
        self.assertRegex(done.err, rf"\A{name}: [^\n]*org\.qemutap\.acquire[^\n]*\n\Z")
        self.host.no_trace()


class Hook(ExamplesRing):
    """The hook runs as root and reads the domain's XML from standard input."""

    def call_hook(self, operation, part, *devices, domain="web", kind="ethernet", managed="no"):
        nics = "".join(f"<interface type='{kind}'><target dev='{device}' managed='{managed}'/></interface>"
                       for device in devices)
        xml = f"<domain type='qemu'><name>{domain}</name><devices>{nics}</devices></domain>"
        popen = self.host.start("root", self.example("libvirt-hook.py"), domain, operation, part, "-",
                                stdin=subprocess.PIPE)
        out, err = popen.communicate(xml.encode())
        return popen.returncode, out.decode(), err.decode()

    def devices_of(self, label, count):
        grant = self.up("root", "--label", label, "--count", str(count))
        self.ok("root", "down", label)
        return [tap["name"] for tap in grant["taps"]]

    def test_from_first_to_last(self):
        """A domain with two NICs has one lease from `prepare` to `release`; the calls in between change nothing."""
        devices = self.devices_of("web", 2)
        self.assertEqual(self.call_hook("prepare", "begin", *devices), (0, "", ""))
        (lease,) = self.leases("root")
        self.assertEqual((lease["label"], lease["hold"]), ("web", "name"))
        self.assertEqual([tap["name"] for tap in lease["taps"]], devices)
        for operation, part in (("start", "begin"), ("started", "begin"), ("stopped", "end"), ("reconnect", "begin")):
            self.assertEqual(self.call_hook(operation, part, *devices), (0, "", ""))
        self.assertEqual(self.leases("root"), [lease])
        self.assertEqual(self.call_hook("release", "end", *devices), (0, "", ""))
        self.host.no_trace()

    def test_left_over(self):
        """A lease that was left over from an earlier start is used again."""
        devices = self.devices_of("web", 1)
        for _ in range(2):
            self.assertEqual(self.call_hook("prepare", "begin", *devices), (0, "", ""))
        self.assertEqual(len(self.leases("root")), 1)
        self.assertEqual(self.call_hook("release", "end", *devices), (0, "", ""))
        self.host.no_trace()

    def test_another_device(self):
        """A domain whose device is not the one of its label does not start, and the error names the right device."""
        (device,) = self.devices_of("web", 1)
        status, _, err = self.call_hook("prepare", "begin", "tap9999")
        self.assertEqual((status, err), (1, f"domain web has dev tap9999; set it to dev {device} in its XML\n"))
        self.assertEqual(self.call_hook("release", "end", "tap9999"), (0, "", ""))
        self.host.no_trace()

    def test_other_domains(self):
        """Domains without such NICs start without the service and end no lease."""
        (device,) = self.devices_of("web", 1)
        grant = self.up("root", "--label", "web")
        self.assertEqual(self.call_hook("release", "end", device, domain="other"), (0, "", ""))
        for settings in ({"kind": "bridge"}, {"managed": "yes"}):
            self.assertEqual(self.call_hook("release", "end", device, **settings), (0, "", ""))
        self.assertEqual(self.leases("root"), [grant])
        self.host.stop_daemon()
        self.assertEqual(self.call_hook("prepare", "begin"), (0, "", ""))
        self.assertEqual(self.call_hook("prepare", "begin", "vnet0", managed="yes"), (0, "", ""))

    def test_refused(self):
        """A domain whose name is not a valid label does not start, and the error says why."""
        status, _, err = self.call_hook("prepare", "begin", "tap8", domain="two words")
        self.assertEqual(status, 1)
        self.assertRegex(err, rf"\A{re.escape(error_name('InvalidArgument'))}: [^\n]+\n\Z")
        self.host.no_trace()
