# SPDX-License-Identifier: MIT
"""A plug-in of pytest: each module of tests runs in a process of its own, where tests/lib/places.py says.

A module of the rings bus, guest and faults gets a scratch host of its own, which ends with its process: that is what
lets a test that fails half way leave nothing behind. The first pytest collects the tests and starts another pytest for
each module, which sends back a report for each test. Modules run beside each other, as many as --jobs says; a module
with `pytestmark = pytest.mark.alone` runs when no other does, because it measures. `pytest.mark.early` starts a module
before the others, because it takes longest.
"""

import concurrent.futures
import json
import os
import queue
import select
import subprocess
import sys
import tempfile
import unittest
from typing import NamedTuple

import pytest

from tests.lib.places import TREE, place_of
from tests.lib.reports import reports_of

# A process that reports nothing for this long after a test's limit does not obey the limit, and is killed.
PATIENCE = 60


def pytest_addoption(parser):
    group = parser.getgroup("modules of tests")
    group.addoption("--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="N",
                    help="run so many modules beside each other (default: one for each processor)")
    group.addoption("--reports-to", type=int, metavar="DESCRIPTOR", help="where a module's process writes its reports")


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: no other module runs beside this one, because it measures")
    config.addinivalue_line("markers", "early: the module starts before others, because it takes longest")
    if config.option.reports_to is not None:
        config.pluginmanager.register(Reports(config))


# Collection


class TestModule(pytest.Module):
    """A module without a test is an error, also if it is one of many."""

    def collect(self):
        functions = [name for name in dir(self.obj) if name.startswith("test") and callable(getattr(self.obj, name))]
        if not functions and not unittest.defaultTestLoader.loadTestsFromModule(self.obj).countTestCases():
            raise self.CollectError("the module has no test")
        return super().collect()


def pytest_pycollect_makemodule(module_path, parent):
    return TestModule.from_parent(parent, path=module_path) if module_path.name.startswith("test_") else None


def pytest_collection_modifyitems(config, items):
    needing = sorted({item.path.parent.relative_to(TREE).as_posix() for item in items if place_of(item).root})
    if needing and os.geteuid() != 0 and not config.option.collectonly:
        raise pytest.UsageError(f"{', '.join(needing)} can't run as this user: the tests make namespaces, mounts and "
                                "devices. Run pytest as root, or tests/unit alone.")


# The process of a module


class Reports:
    """Sends the reports to the process that collected."""

    def __init__(self, config):
        self.config = config
        os.set_inheritable(config.option.reports_to, False)
        self.pipe = open(config.option.reports_to, "w", encoding="utf-8")  # to the end of the process

    def pytest_runtest_logreport(self, report):
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        self.pipe.write(json.dumps(data) + "\n")
        self.pipe.flush()


class Child:
    """The process of one module."""

    def __init__(self, config, run):
        place = place_of(run.module)
        self.silence = place.limit + PATIENCE
        self.output = tempfile.TemporaryFile()
        options = config.option
        # Whoever debugs, or wants to see what is printed, gets the terminal.
        shown = options.usepdb or options.capture == "no"
        self.reader, writer = os.pipe()
        environment = {**os.environ, "PYTHONPATH": str(TREE), "PYTHONDONTWRITEBYTECODE": "1"}
        if run.release:
            environment["QEMU_TAPCTL_RELEASE"] = run.release
        host = [TREE / "tests" / "enter"] if place.scratch_host else []
        argv = ["setpriv", "--pdeathsig", "KILL", *host, sys.executable, "-m", "pytest", "-p", "no:cacheprovider",
                f"--reports-to={writer}", f"--tb={options.tbstyle}", f"--capture={options.capture}",
                *(["--pdb"] if options.usepdb else []), *(["--showlocals"] if options.showlocals else []),
                *(["--exitfirst"] if options.maxfail == 1 else []), *(item.nodeid for item in run.items)]
        self.popen = subprocess.Popen(argv, cwd=config.rootpath, env=environment, pass_fds=[writer],
                                      **({} if shown else {"stdin": subprocess.DEVNULL, "stdout": self.output,
                                                           "stderr": self.output}))
        os.close(writer)
        self.end = os.pidfd_open(self.popen.pid)

    def reports(self):
        """The data of each report as it comes, until the process ends."""
        pending = b""
        while True:
            ready, _, _ = select.select([self.reader, self.end], [], [], self.silence)
            if not ready:
                self.popen.kill()
            elif self.reader in ready:
                piece = os.read(self.reader, 1 << 16)
                if not piece:
                    return
                *lines, pending = (pending + piece).split(b"\n")
                yield from map(json.loads, lines)
            else:
                return

    def close(self):
        """How it ended, and what it printed."""
        status = self.popen.wait()
        os.close(self.reader)
        os.close(self.end)
        with self.output:
            size = os.fstat(self.output.fileno()).st_size
            printed = os.pread(self.output.fileno(), 1 << 16, max(0, size - (1 << 16)))
        return f"the process of the module ended with status {status}:\n{printed.decode(errors='replace')}"


# The process that collects


class Run(NamedTuple):
    """One run of a module."""

    module: pytest.File
    items: list
    release: str = ""

    def is_marked(self, name):
        return self.items[0].get_closest_marker(name) is not None

    def is_alone(self):
        return self.is_marked("alone") or not place_of(self.module).parallel

    def name_of(self, nodeid):
        return f"{self.release}: {nodeid}" if self.release else nodeid


class Loop:
    """Runs modules in threads, which only wait, and hands their reports to pytest in the first thread."""

    def __init__(self, session):
        self.session = session
        self.config = session.config
        self.arrived = queue.SimpleQueue()
        self.children = set()
        self.stopping = False

    def run(self, runs, jobs):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            try:
                for run in runs:
                    pool.submit(self.run_one, run)
                self.hand_on(len(runs))
            except BaseException:
                self.stop()
                raise

    def stop(self):
        self.stopping = True
        for child in list(self.children):
            child.popen.terminate()

    def hand_on(self, running):
        while running:
            report = self.arrived.get()
            if report is None:
                running -= 1
                continue
            self.config.hook.pytest_runtest_logreport(report=report)
            if self.session.shouldfail and not self.stopping:
                self.stop()

    def run_one(self, run):
        """However the module ends, each of its tests has reports in the end."""
        missing = {run.name_of(item.nodeid): item for item in run.items}

        def put(*reports):
            for report in reports:
                self.arrived.put(report)
                if report.when == "teardown":
                    forget(missing, report.nodeid)
        try:
            ended = "" if self.stopping else self.run_to_end(run, put)
        except BaseException as error:
            ended = f"the module could not be run: {error!r}"
        for nodeid in [] if self.stopping else list(missing):
            put(*reports_of(missing[nodeid], "failed", f"the test did not come to its end: {ended}", nodeid=nodeid))
        self.arrived.put(None)

    def run_to_end(self, run, put):
        """Puts the reports of the module's tests; returns how it ended."""
        if hasattr(run.module, "run"):
            return run.module.run(run.items, put)
        child = Child(self.config, run)
        self.children.add(child)
        for data in child.reports():
            report = self.config.hook.pytest_report_from_serializable(config=self.config, data=data)
            report.nodeid = run.name_of(report.nodeid)
            put(report)
        self.children.remove(child)
        return child.close()


def forget(missing, nodeid):
    """A report may be of a section: then it is its case's too, which its name begins with."""
    for name in [name for name in missing if nodeid == name or nodeid.startswith(f"{name}/")]:
        del missing[name]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    config = session.config
    if config.option.collectonly or config.option.reports_to is not None:
        return None
    modules = {}
    for item in session.items:
        modules.setdefault(item.getparent(pytest.File), []).append(item)
    runs = [Run(module, items, release) for module, items in modules.items()
            for release in place_of(module).releases or ("",)]
    loop = Loop(session)
    single = config.option.usepdb or config.option.capture == "no"
    together = [run for run in runs if not run.is_alone()]
    loop.run(sorted(together, key=lambda run: not run.is_marked("early")), 1 if single else config.option.jobs)
    loop.run([run for run in runs if run.is_alone()], 1)
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    return True
