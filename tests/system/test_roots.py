# SPDX-License-Identifier: MIT
"""How the root file systems are made."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

import roots


class Alone(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        # A program of this test's own, so that no other one has the same path.
        self.service = shutil.copy("/bin/sleep", self.folder / "service")

    def stop(self, *before):
        """As scripts of packages stop a service: the status tells whether one was found."""
        return subprocess.run([*before, "start-stop-daemon", "--stop", "--quiet", "--exec", self.service],
                              check=False).returncode

    def test_services(self):
        """What a package's script stops there is no service of the machine's; without that, it would be."""
        service = subprocess.Popen([self.service, "60"])
        self.addCleanup(service.wait)
        self.addCleanup(service.kill)
        self.assertEqual(self.stop(*roots.ALONE), 1)
        self.assertIsNone(service.poll())
        self.assertEqual(self.stop(), 0)
        self.assertEqual(service.wait(10), -15)


if __name__ == "__main__":
    unittest.main()
