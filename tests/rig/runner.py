#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""runner.py RING MODULE...: runs unittest modules of tests/RING and says what each test proves.

A ring is evidence, so everything that is not a success counts as a failure here: a skipped test, a test that
succeeds though it was expected to fail, a module without tests. With QEMU_TAPCTL_JUNIT_DIR set, the results are
also written there as JUnit XML, one file per module. QEMU_TAPCTL_TEST_LIMIT is the seconds one test may take (300).
With QEMU_TAPCTL_RELEASE set, the results are those of that Debian release, and called so.

A test that has more to show than that it succeeded, a table or a figure, sets its `shows` to that text.
"""

import contextlib
import faulthandler
import importlib
import os
import signal
import sys
import time
import traceback
import unittest
from xml.etree import ElementTree

sys.dont_write_bytecode = True
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# A test that hangs is a failed test; the longest honest one needs guests to boot, on a machine with other work.
DEFAULT_LIMIT = 300


def plain(text):
    """Text for a terminal and for XML, which has no way to write most control characters, not even escaped."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


class Outcome:
    """What became of one test."""

    def __init__(self, name, proves):
        self.name = name
        self.proves = proves
        self.started = time.monotonic()
        self.seconds = 0.0
        self.problems = []
        self.shows = ""

    def line(self):
        word = "FAILED" if self.problems else "ok"
        return f"{word:<6} {self.seconds:6.2f} s  {self.name}: {self.proves}"


class Results(unittest.TestResult):
    """Prints each test's line when it is over, and its problems in full."""

    def __init__(self, limit):
        super().__init__()
        self.outcomes = []
        self.current = None
        self.limit = limit

    def startTest(self, test):
        super().startTest(test)
        name = test.id().split(".", 1)[1]
        self.current = Outcome(name, test.shortDescription() or "says not what it proves")
        if not test.shortDescription():
            self.current.problems.append(("failure", "the test has no docstring that says what it proves"))
        signal.alarm(self.limit)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)
        self.current.shows = getattr(test, "shows", "")
        self._close(self.current)
        self.current = None

    def _close(self, outcome):
        outcome.seconds = time.monotonic() - outcome.started
        self.outcomes.append(outcome)
        print(outcome.line(), flush=True)
        if outcome.shows:
            print("       " + plain(outcome.shows).rstrip().replace("\n", "\n       "), flush=True)
        for _, text in outcome.problems:
            print("       | " + plain(text).rstrip().replace("\n", "\n       | "), flush=True)

    def _problem(self, test, kind, text):
        if self.current is not None:
            # A test case may have more to show than its traceback: the log of what it ran against.
            evidence = getattr(test, "evidence", str)()
            self.current.problems.append((kind, f"{text.rstrip()}\n{evidence}"))
            return
        # setUpModule, setUpClass and their counterparts fail outside any test.
        outcome = Outcome(str(test), "the surroundings of the tests can be set up and cleared")
        outcome.problems.append((kind, text))
        self._close(outcome)

    def addError(self, test, err):
        super().addError(test, err)
        self._problem(test, "error", "".join(traceback.format_exception(*err)))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._problem(test, "failure", "".join(traceback.format_exception(*err)))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            text = "".join(traceback.format_exception(*err))
            self._problem(test, "failure", f"{subtest}\n{text}")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._problem(test, "failure", f"skipped ({reason}), but this ring must run whole")

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self._problem(test, "failure", "expected to fail: a ring holds no such tests")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._problem(test, "failure", "expected to fail: a ring holds no such tests")


def out_of_time(*_):
    faulthandler.dump_traceback()
    raise TimeoutError("the test took too long")


def as_junit(name, outcomes, release=""):
    failed = sum(bool(outcome.problems) for outcome in outcomes)
    suite = ElementTree.Element("testsuite", name=name, tests=str(len(outcomes)), failures=str(failed),
                                time=f"{sum(outcome.seconds for outcome in outcomes):.3f}")
    where = f"{release}: " if release else ""
    for outcome in outcomes:
        case = ElementTree.SubElement(suite, "testcase", classname=name, time=f"{outcome.seconds:.3f}",
                                      name=f"{where}{outcome.name}: {outcome.proves}")
        if outcome.shows:
            ElementTree.SubElement(case, "system-out").text = plain(outcome.shows)
        for kind, text in outcome.problems:
            text = plain(text).strip()
            problem = ElementTree.SubElement(case, kind, message=text.split("\n")[-1])
            problem.text = text
    return ElementTree.ElementTree(suite)


def run_module(ring, module):
    """Runs one module and returns its outcomes; one that cannot even be loaded has failed."""
    results = Results(int(os.environ.get("QEMU_TAPCTL_TEST_LIMIT") or DEFAULT_LIMIT))
    try:
        loaded = importlib.import_module(module)
    except Exception:
        results._problem(f"import {module}", "error", traceback.format_exc())
        return results.outcomes
    suite = unittest.defaultTestLoader.loadTestsFromModule(loaded)
    # One stream, so that what a library writes stands beside the test that caused it.
    with contextlib.redirect_stderr(sys.stdout):
        suite.run(results)
    if not results.outcomes:
        results._problem(module, "failure", "the module holds no test")
    return results.outcomes


def main():
    if len(sys.argv) < 3:
        print("usage: runner.py RING MODULE...", file=sys.stderr)
        return 2
    ring, modules = sys.argv[1], [os.path.basename(name).removesuffix(".py") for name in sys.argv[2:]]
    sys.path[:0] = [TESTS, os.path.join(TESTS, ring)]
    signal.signal(signal.SIGALRM, out_of_time)
    # In the background, or by nohup, it is started with some ignored, which the programs under test would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    release = os.environ.get("QEMU_TAPCTL_RELEASE") or ""
    passed = failed = 0
    for module in modules:
        outcomes = run_module(ring, module)
        bad = sum(bool(outcome.problems) for outcome in outcomes)
        failed += bad
        passed += len(outcomes) - bad
        folder = os.environ.get("QEMU_TAPCTL_JUNIT_DIR")
        if folder:
            os.makedirs(folder, exist_ok=True)
            name = "-".join(filter(None, [ring, release, module]))
            as_junit(name, outcomes, release).write(os.path.join(folder, f"{name}.xml"), encoding="utf-8",
                                                    xml_declaration=True)
    print(f"{ring}: {passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
