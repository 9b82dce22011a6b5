# SPDX-License-Identifier: MIT
"""The verb `runqemu` without a guest: what it refuses before anything is acquired, and what it passes to the script."""

import os

from tests.bus.ring import BusRing
from tests.lib import kernel, users

# Prints its environment and arguments, and waits for the end of its input.
SCRIPT = """#!/bin/sh
echo "$OE_TAP_NAME"
printf '%s\\n' "$@"
echo .
cat
exit 4
"""


class Runqemu(BusRing):
    def setUp(self):
        super().setUp()
        self.folder = f"{users.HOMES}/alice/scripts"
        os.makedirs(self.folder, exist_ok=True)

    def place(self):
        path = f"{self.folder}/runqemu"
        with open(path, "w", encoding="ascii") as file:
            file.write(SCRIPT)
        os.chmod(path, 0o755)
        self.addCleanup(os.unlink, path)

    def runqemu(self, *words, **settings):
        return self.ctl("alice", "runqemu", *words, environment={"PATH": f"{self.folder}:/usr/bin:/bin"}, **settings)

    def test_told(self):
        """The script is found on PATH and gets OE_TAP_NAME, for one tap nothing else; its status is the client's."""
        self.place()
        done = self.runqemu("--", "qemux86-64", "", "bootparams=a b")
        self.assertEqual((done.status, done.err), (4, ""))
        prefix, *arguments = done.out.splitlines()
        self.assertRegex(prefix, r"\A[a-z][a-z0-9]{0,9}[a-z]\Z")
        self.assertEqual(arguments, ["qemux86-64", "", "bootparams=a b", "."])
        self.host.no_trace()

    def test_further_taps(self):
        """Further taps are added to qemuparams= and bootparams=; the whole lease ends with the script."""
        self.place()
        done = self.runqemu("--count", "3", "--", "bootparams=quiet")
        _, boot, parameters, end = done.out.splitlines()
        self.assertEqual(end, ".")
        self.assertRegex(parameters, r"\Aqemuparams=-netdev tap,id=tapctl0,ifname=tap8,\S+ -device virtio-net-pci,\S+ "
                                     r"-netdev tap,id=tapctl1,ifname=tap9,\S+ -device virtio-net-pci,\S+\Z")
        self.assertEqual(boot, "bootparams=quiet ip=192.168.8.2:::255.255.255.0::eth1:off "
                               "ip=192.168.9.2:::255.255.255.0::eth2:off "
                               "ip=192.168.7.2::192.168.7.1:255.255.255.0::eth0:off net.ifnames=0")
        self.host.no_trace()

    def test_own_ip(self):
        """The caller's own ip= is kept unchanged, and a warning of one line says so."""
        self.place()
        done = self.runqemu("--count", "2", "--", "bootparams=ip=dhcp")
        self.assertIn("bootparams=ip=dhcp", done.out.splitlines())
        self.assertRegex(done.err, r"\Aqemu-tapctl: bootparams= has an ip= already[^\n]*eth1:off[^\n]*\n\Z")

    def test_refused(self):
        """Without a script the status is 127, with a network without taps 2; the service is not called."""
        self.host.stop_daemon()
        self.assert_refused(self.runqemu("--", "qemux86-64"), 127, '"runqemu"', "oe-init-build-env")
        for word in ("slirp", "nonetwork", "bridge=br0"):
            self.assert_refused(self.runqemu("--", "qemux86-64", word), 2, f'"{word}"')
        self.assert_refused(self.runqemu("qemux86-64"), 127, '"runqemu"')
        self.assertEqual(kernel.ours(), {})
