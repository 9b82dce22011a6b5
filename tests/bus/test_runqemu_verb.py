# SPDX-License-Identifier: MIT
"""The verb `runqemu` without a guest: what it refuses before anything is acquired, and what it passes to the script."""

import os
import shutil

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

# Each prints its arguments. The client takes OLDER for a runqemu before Yocto 4.3: it locks taps, and does not read
# OE_TAP_NAME.
WRAPPER = """#!/usr/bin/env python3
import sys
print(*sys.argv[1:], sep="\\n")
"""
OLDER = WRAPPER + 'LOCKS = "/tmp/qemu-tap-locks"\n'
NEWER = OLDER + 'NAME = "OE_TAP_NAME"\n'
TOO_LONG_TO_READ = OLDER + "#" * 1_048_576
SHELL_WRAPPER = """#!/bin/sh
# for python3 and its qemu-tap-locks
printf '%s\\n' "$@"
"""


class Runqemu(BusRing):
    def setUp(self):
        super().setUp()
        self.folder = f"{users.HOMES}/alice/scripts"
        os.makedirs(self.folder, exist_ok=True)

    def tearDown(self):
        shutil.rmtree(self.folder)
        super().tearDown()

    def place(self, script=SCRIPT):
        path = f"{self.folder}/runqemu"
        with open(path, "w", encoding="ascii") as file:
            file.write(script)
        os.chmod(path, 0o755)

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

    def test_older(self):
        """A runqemu that does not read OE_TAP_NAME has status 126; the text names the release, nothing is acquired."""
        self.host.stop_daemon()
        self.place(OLDER)
        self.assert_refused(self.runqemu("--", "qemux86-64"), 126, "OE_TAP_NAME", "Yocto 4.3", "--hold name", "slirp")

    def test_newer(self):
        """A runqemu that reads OE_TAP_NAME starts, and so do wrappers and a script too long to read."""
        for script in (NEWER, WRAPPER, SHELL_WRAPPER, TOO_LONG_TO_READ):
            with self.subTest(script=script[:200]):
                self.place(script)
                done = self.runqemu("--", "nographic")
                self.assertEqual((done.status, done.out, done.err), (0, "nographic\n", ""))
        self.host.no_trace()

    def test_older_with_run(self):
        """An older runqemu gets a tap from `run --hold name`, in its qemuparams=, as the guide says."""
        self.place(OLDER)
        done = self.ctl("alice", "run", "--hold", "name", "--", "runqemu", "slirp",
                        "qemuparams=-netdev tap,id=net1,ifname={tap0} -device virtio-net-pci,netdev=net1,mac={mac0}",
                        environment={"PATH": f"{self.folder}:/usr/bin:/bin"})
        self.assertEqual((done.status, done.err), (0, ""))
        slirp, parameters = done.out.splitlines()
        self.assertEqual(slirp, "slirp")
        self.assertRegex(parameters, r"\Aqemuparams=-netdev tap,id=net1,ifname=tap8 "
                                     r"-device virtio-net-pci,netdev=net1,mac=[0-9a-f:]{17}\Z")
        self.host.no_trace()

    def test_refused(self):
        """Without a script the status is 127, with a network without taps 2; the service is not called."""
        self.host.stop_daemon()
        self.assert_refused(self.runqemu("--", "qemux86-64"), 127, '"runqemu"', "oe-init-build-env")
        for word in ("slirp", "nonetwork", "bridge=br0"):
            self.assert_refused(self.runqemu("--", "qemux86-64", word), 2, f'"{word}"')
        self.assert_refused(self.runqemu("qemux86-64"), 127, '"runqemu"')
        self.assertEqual(kernel.ours(), {})
