# SPDX-License-Identifier: MIT
"""The making of the root file systems."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

from tests.system import roots


class Alone(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        # A program of this test's own, so that no other one has the same path.
        self.service = shutil.copy("/bin/sleep", self.folder / "service")

    def stop(self, *before):
        """Stop a service as packages' scripts do; the status shows whether a service was found."""
        return subprocess.run([*before, "start-stop-daemon", "--stop", "--quiet", "--exec", self.service],
                              check=False).returncode

    def test_services(self):
        """A package's script stops no service of the machine while a root is made; without the isolation it would."""
        service = subprocess.Popen([self.service, "60"])
        self.addCleanup(service.wait)
        self.addCleanup(service.kill)
        self.assertEqual(self.stop(*roots.ALONE), 1)
        self.assertIsNone(service.poll())
        self.assertEqual(self.stop(), 0)
        self.assertEqual(service.wait(10), -15)


if __name__ == "__main__":
    unittest.main()
