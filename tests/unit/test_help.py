# SPDX-License-Identifier: MIT
"""The verb `help`: it opens the manual page with man(1), and prints the text of --help where it can't. A stand-in plays
man."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

from tests.unit.test_pages import CLIENT

# Plays man(1) on a machine that has the page: `man -w` prints its path.
MAN = """#!/bin/sh
case "$*" in
    "-w 1 qemu-tapctl") echo /usr/share/man/man1/qemu-tapctl.1 ;;
    "1 qemu-tapctl") echo "the page"; exit 5 ;;
    *) echo "not expected: $*" >&2; exit 1 ;;
esac
"""
# Plays man(1) in a container without pages. 16 is its status for a page that it does not find.
MAN_WITHOUT_PAGES = """#!/bin/sh
echo "No manual entry for qemu-tapctl in section 1" >&2
exit 16
"""


class Help(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def place_man(self, text):
        path = self.folder / "man"
        path.write_text(text, encoding="ascii")
        path.chmod(0o755)

    def client(self, *words):
        """The status, standard output and standard error of a client whose PATH has no program but man."""
        done = subprocess.run([CLIENT, *words], env={"PATH": str(self.folder)}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def assert_text_of_help(self):
        """Requires that `help` warns in one line and prints what --help prints, of the program and of a verb."""
        for verb in ((), ("run",), ("list",)):
            with self.subTest(verb=verb):
                status, out, err = self.client("help", *verb)
                self.assertEqual((status, out), self.client(*verb, "--help")[:2])
                self.assertRegex(err, r"\Aqemu-tapctl: the manual page can't be shown: [^\n]+\n\Z")

    def test_page(self):
        """`help`, also with a verb, becomes man(1), whose output and status are its own."""
        self.place_man(MAN)
        for words in (("help",), ("help", "run")):
            with self.subTest(words=words):
                self.assertEqual(self.client(*words), (5, "the page\n", ""))

    def test_no_man(self):
        """Without man(1) `help` prints the text of --help, with a warning."""
        self.assert_text_of_help()

    def test_no_page(self):
        """Without the page `help` prints the text of --help, with a warning, and hides man's own complaint."""
        self.place_man(MAN_WITHOUT_PAGES)
        self.assert_text_of_help()

    def test_unknown_verb(self):
        """`help` of an unknown verb has status 2 and one line with a hint, and does not start man(1)."""
        self.place_man(MAN)
        status, out, err = self.client("help", "lizt")
        self.assertEqual((status, out), (2, ""))
        self.assertRegex(err, r'\Aqemu-tapctl: there is no "lizt"[^\n]*list[^\n]*\n\Z')


if __name__ == "__main__":
    unittest.main()
