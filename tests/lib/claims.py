# SPDX-License-Identifier: MIT
"""A plug-in of pytest: each test proves a claim, which its docstring states, and each outcome but success is a failure.

The plug-in prints a line for each test as soon as the test ends: its outcome, its seconds, its name and its claim. A
test without a docstring fails, and so does a test that is skipped or expected to fail: a ring must run whole. A test
that has a table or a figure to show sets its attribute `shows` to that text. A test case may have a method `evidence`,
which returns the log of what the test ran against: that text is part of the report of a failure.
"""

import faulthandler
import signal
import sys
import traceback

import pytest

from tests.lib.places import place_of


def plain(text):
    """Text for a terminal and for XML, which has no way to write most control characters, not even escaped."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def indented(text, mark=" "):
    return "".join(f"         {mark} {line}\n" for line in text.rstrip().splitlines())


def property_of(report, name):
    return next((value for key, value in report.user_properties if key == name), "")


class Witness:
    """unittest reports to the item of a test, and pytest shows the first problem alone. The witness keeps them all, and
    the evidence as it is at the first: afterwards the test clears up. It also gives unittest a place for the problems of
    subtests; without one, unittest ends a test at the first of them and does not name it."""

    def __init__(self, item):
        self.later = []
        self.evidence = None
        self.report = {"addError": item.addError, "addFailure": item.addFailure}
        item.addError = lambda test, problem: self.keep("addError", test, problem)
        item.addFailure = lambda test, problem: self.keep("addFailure", test, problem)
        item.addSubTest = self.keep_of_subtest
        item.failfast = False

    def keep(self, method, test, problem):
        if self.evidence is None:
            self.evidence = getattr(test, "evidence", str)()
            self.report[method](test, problem)
        else:
            self.later.append("".join(traceback.format_exception(*problem)))

    def keep_of_subtest(self, test, subtest, problem):
        if problem is not None:
            problem[1].add_note(str(subtest))
            self.keep("addFailure", test, problem)

    def text(self):
        return "".join(f"\n{text.rstrip()}" for text in [*self.later, self.evidence or ""] if text)


class OutOfTime:
    """Ends a test that takes too long, with a traceback of each thread."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, *_):
        faulthandler.dump_traceback(file=sys.__stderr__)
        pytest.fail(f"the test takes longer than {self.seconds} s")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    seconds = place_of(item).limit
    signal.signal(signal.SIGALRM, OutOfTime(seconds))
    signal.alarm(seconds)
    yield
    signal.alarm(0)


def pytest_runtest_setup(item):
    if hasattr(item, "addFailure"):
        item.witness = Witness(item)
    claim = " ".join((item.obj.__doc__ or "").split("\n\n")[0].split())
    item.user_properties.append(("claim", claim))
    if not claim:
        pytest.fail("the test has no docstring that states what it proves", pytrace=False)


def problem_of(report):
    """The problem with an outcome that pytest itself does not count as a failure; empty if there is none."""
    if hasattr(report, "wasxfail"):
        return "the test is expected to fail: a ring has no such tests"
    if report.skipped:
        return f"skipped ({report.longrepr[2]}), but a ring must run whole"
    return ""


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    problem = problem_of(report)
    if problem:
        report.outcome, report.longrepr = "failed", problem
        report.__dict__.pop("wasxfail", None)
    if call.when == "call":
        shows = getattr(getattr(item.obj, "__self__", None), "shows", "")
        item.user_properties += [("shows", plain(shows))] if shows else []
        report.user_properties = list(item.user_properties)
    if report.failed:
        witness = getattr(item, "witness", None)
        report.longrepr = plain(str(report.longrepr) + (witness.text() if witness and call.when == "call" else ""))
    report.sections = [(title, plain(text)) for title, text in report.sections]


def pytest_report_teststatus(report):
    """What pytest counts a report as, and nothing for it to print: the line of the test is ours."""
    if report.failed:
        return ("failed" if report.when == "call" else "error"), "", ""
    return ("passed" if report.when == "call" else ""), "", ""


class Lines:
    """Prints the line of each test when its last report has come."""

    def __init__(self, config):
        self.terminal = config.pluginmanager.get_plugin("terminalreporter")
        self.reports = {}

    def pytest_runtest_logreport(self, report):
        self.reports.setdefault(report.nodeid, []).append(report)
        if report.when == "teardown":
            self.print_line(self.reports.pop(report.nodeid))

    def print_line(self, reports):
        failed = [report for report in reports if report.failed]
        seconds = sum(report.duration for report in reports)
        claim, shows = property_of(reports[-1], "claim"), property_of(reports[-1], "shows")
        name = ": ".join(filter(None, [reports[-1].nodeid, claim]))
        self.terminal.write(f"{'FAILED' if failed else 'ok':<6} {seconds:6.2f} s  {plain(name)}\n")
        self.terminal.write(indented(shows))
        for report in failed:
            self.terminal.write(indented(reason(report.longrepr), "|"))
        self.terminal.flush()


def reason(text):
    """The line of a failure's text that says most; pytest prints the whole text when all tests are done."""
    lines = text.strip().splitlines() or [""]
    return next((line[1:].strip() for line in lines if line.startswith("E ")), lines[0])


def reset_signals():
    """A shell starts a background job, and nohup its program, with some signals ignored. The programs under test would
    inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    reset_signals()
    config.pluginmanager.register(Lines(config))
