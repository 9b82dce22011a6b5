# SPDX-License-Identifier: MIT
"""The containers themselves, because the other modules rely on them: nothing of a container is left however its test
ends, containers do not see each other, and they cannot affect the machine."""

import os
import pathlib
import signal
import subprocess
import sys

from tests.system import keeper
from tests.system import roots
from tests.system.container import Container
from tests.system.ring import SystemRing

WAITS = """
from tests.system.container import Container
container = Container(debs=())
print(container.name, flush=True)
input()
"""


def groups(name):
    return [group for where in keeper.hierarchies() for group in where.glob(f"*{name}*")]


class Containers(SystemRing):
    def assert_gone(self, name):
        self.container.wait_for(lambda: not groups(name), f"no control group of {name} is left")
        self.assertEqual(list(pathlib.Path("/run/systemd/nspawn").glob(f"*/{name}")), [])

    def test_killed_test(self):
        """When a test is killed, its container is gone with its processes and control groups."""
        environment = {**os.environ, "PYTHONPATH": str(roots.TREE)}
        with subprocess.Popen([sys.executable, "-c", WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=environment) as popen:
            name = popen.stdout.readline().decode().strip()
            self.assertTrue(groups(name))
            popen.send_signal(signal.SIGKILL)
        self.assert_gone(name)

    def test_shutdown(self):
        """After an orderly shutdown nothing of the container is left."""
        container = Container(debs=())
        container.stop()
        self.assert_gone(container.name)

    def test_killed_keeper(self):
        """A container whose keeper was killed is ended before the next container starts."""
        orphan = Container(debs=())
        orphan.keeper.send_signal(signal.SIGKILL)
        orphan.keeper.wait()
        self.assertTrue(groups(orphan.name))
        Container(debs=()).close()
        self.assert_gone(orphan.name)
        orphan.close()

    def test_own_network(self):
        """Each container has a network of its own, with nothing but lo and without a way out."""
        own = os.readlink("/proc/self/ns/net")
        with Container(debs=()) as other:
            networks = {own, *(one.root("readlink", "/proc/1/ns/net").out.strip() for one in (self.container, other))}
            self.assertEqual(len(networks), 3)
            self.container.root("ip", "tuntap", "add", "rig0", "mode", "tap")
            self.assertEqual(list(other.links()), ["lo"])
        self.assertEqual(sorted(self.container.links()), ["lo", "rig0"])

    def test_no_devices(self):
        """Not even root inside can make a node of a device of the machine, or write to its /sys."""
        done = self.container.run("root", "mknod", "/dev/rig-disk", "b", "254", "0")
        self.assertEqual((done.status, "Operation not permitted" in done.err), (1, True), done)
        done = self.container.run("root", "sh", "-c", "echo x >/sys/class/net/lo/ifalias")
        self.assertIn("Read-only file system", done.err)

