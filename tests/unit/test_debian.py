# SPDX-License-Identifier: MIT
"""What debian/ repeats of the source tree, the version and the build dependencies, is the same in both."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Debian(unittest.TestCase):
    def text(self, path):
        return (ROOT / path).read_text(encoding="utf-8")

    def test_version(self):
        """The packages have the version of the programs."""
        programs = re.search(r"^  version: '(.*)'", self.text("meson.build"), re.MULTILINE).group(1)
        self.assertEqual(re.match(r"qemu-tapctl \((.*?)\)", self.text("debian/changelog")).group(1), programs)

    def test_build_depends(self):
        """The packages' build dependencies are the libraries that tools/packages installs for a build."""
        control = re.search(r"^Build-Depends:\n((?: .*\n)+)", self.text("debian/control"), re.MULTILINE).group(1)
        installed = re.search(r'\[build\]="(.*?)"', self.text("tools/packages"), re.DOTALL).group(1)
        library = re.compile(r"\b(?:lib\S+?|\S+-dev)(?=,|\s|$)")
        self.assertGreater(len(library.findall(control)), 5)
        self.assertEqual(set(library.findall(control)), set(library.findall(installed)))


if __name__ == "__main__":
    unittest.main()
