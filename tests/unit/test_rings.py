# SPDX-License-Identifier: MIT
"""The rings themselves: every module can be loaded, and an outcome that is no success does not count as one."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from xml.etree import ElementTree

from tests.lib.places import TREE

FUNCTION = "import os, pytest, time\ndef test_it():\n    'a claim'\n    "
TEST_CASE = ("import unittest\nclass Case(unittest.TestCase):\n    def evidence(self): return 'the log'\n"
             "    def test_it(self):\n        'a claim'\n        ")
# By name: the module's source, how many of its tests pass and fail, and words of the failures.
OUTCOMES = {
    "passes": (FUNCTION + "assert 1 == 1\n", 1, 0, ""),
    "fails": (FUNCTION + "assert 1 == 2\n", 0, 1, "assert 1 == 2"),
    "has_no_docstring": ("def test_it(): pass\n", 0, 1, "no docstring"),
    "is_skipped": (FUNCTION + "pytest.skip('its reason')\n", 0, 1, "its reason"),
    "is_expected_to_fail": (FUNCTION + "pytest.xfail('its reason')\n", 0, 1, "expected to fail"),
    "hangs": (FUNCTION + "time.sleep(60)\n", 0, 1, "longer than 2 s"),
    "dies": (FUNCTION + "os._exit(3)\ndef test_later(): 'a claim'\n", 0, 2, "status 3"),
    "has_no_test": ("import os\n", 0, 1, "has no test"),
    "can_not_be_loaded": ("import none_such\n", 0, 1, "none_such"),
    "can_not_be_set_up": ("def setup_module(): 1 / 0\ndef test_it(): 'a claim'\n", 0, 1, "ZeroDivisionError"),
    "can_not_be_cleared": ("def teardown_module(): 1 / 0\ndef test_it(): 'a claim'\n", 0, 1, "ZeroDivisionError"),
    "has_subtests": (TEST_CASE + "for n in range(3):\n            with self.subTest(n=n): self.assertEqual(n, 1)\n",
                     0, 1, "(n=2)"),
    "has_evidence": (TEST_CASE + "self.fail()\n", 0, 1, "the log"),
    "has_control_characters": (TEST_CASE + "self.fail(chr(27) + '[2J')\n", 0, 1, "?[2J"),
}
SHOWING = TEST_CASE + "self.shows = 'a figure'\n"


def run_pytest(*words, folder=TREE, **environment):
    surroundings = {**os.environ, "PYTHONPATH": str(TREE), **environment}
    return subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words], cwd=folder, text=True,
                          env=surroundings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)


def outcomes_of(results):
    """By module: how many tests passed, how many failed, and what is said of the failures."""
    found = {name: [0, 0, ""] for name in OUTCOMES}
    for case in ElementTree.parse(results).iter("testcase"):
        outcome = found[(case.get("classname") or case.get("name")).split(".")[0].removeprefix("test_")]
        problems = [child for child in case if child.tag in ("failure", "error", "skipped")]
        outcome[1 if problems else 0] += 1
        outcome[2] += "".join(child.text for child in problems)
    return found


class Rings(unittest.TestCase):
    maxDiff = None

    def project(self, **modules):
        """A folder of modules to be tested by the same plug-ins."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        files = {"pytest.ini": "[pytest]\naddopts = -rN --continue-on-collection-errors\n",
                 "conftest.py": (TREE / "tests" / "conftest.py").read_text(encoding="utf-8"),
                 **{f"test_{name}.py": source for name, source in modules.items()}}
        for name, text in files.items():
            (pathlib.Path(folder.name) / name).write_text(text, encoding="utf-8")
        return folder.name

    def test_collection(self):
        """each module of each ring can be loaded"""
        done = run_pytest("--collect-only", "--ignore-glob=*_test.cpp", "tests")
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_outcomes(self):
        """all but a success is a failure: a skip, a hang, no claim, no test, a module that ends early; with what explains it"""
        folder = self.project(**{name: source for name, (source, *_) in OUTCOMES.items()})
        done = run_pytest("--junitxml=results.xml", folder=folder, QEMU_TAPCTL_TEST_LIMIT="2")
        self.assertEqual(done.returncode, 1)
        for name, (passed, failed, said) in outcomes_of(f"{folder}/results.xml").items():
            with self.subTest(module=name):
                self.assertEqual((passed, failed), OUTCOMES[name][1:3], said)
                self.assertIn(OUTCOMES[name][3], said)

    def test_line(self):
        """a test's line has its outcome, name and claim, and what it shows; the last line has the counts"""
        done = run_pytest(folder=self.project(shows=SHOWING, fails=OUTCOMES["fails"][0]))
        self.assertRegex(done.stdout, r"\nok +\d\.\d\d s  test_shows\.py::Case::test_it: a claim\n +a figure\n")
        self.assertRegex(done.stdout, r"\nFAILED +\d\.\d\d s  test_fails\.py::test_it: a claim\n +\| assert 1 == 2\n")
        self.assertRegex(done.stdout, r"\n=+ 1 failed, 1 passed in .*\n\Z")
