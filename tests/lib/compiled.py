# SPDX-License-Identifier: MIT
"""A plug-in of pytest: the test cases of the files *_test.cpp, which meson compiles with Catch2 into programs.

compile_commands.json in the build folder says which program has a file. The program runs once for each file, and only
the cases of that file; each result in its JUnit file becomes the report of a test. The name of a case is its claim."""

import functools
import json
import os
import pathlib
import random
import subprocess
import tempfile
from xml.etree import ElementTree

import pytest

from tests.lib.places import TREE, place_of
from tests.lib.reports import reports_of

BUILD = pathlib.Path(os.environ.get("QEMU_TAPCTL_BUILD") or TREE / "build")
UNKNOWN_OPTION = "Unrecognised token"


@functools.lru_cache
def programs():
    """The program of each source file."""
    try:
        entries = json.loads((BUILD / "compile_commands.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {(pathlib.Path(entry["directory"]) / entry["file"]).resolve(): BUILD / entry["output"].partition(".p/")[0]
            for entry in entries}


def pytest_collect_file(file_path, parent):
    if file_path.name.endswith("_test.cpp"):
        return CompiledFile.from_parent(parent, path=file_path)
    return None


class Case(pytest.Item):
    """One test case. Its file runs it, with the others of the file."""

    def runtest(self):
        raise NotImplementedError


class CompiledFile(pytest.File):
    def collect(self):
        program = programs().get(self.path)
        if program is None or not program.exists():
            raise self.CollectError(f"no program of this file is in {BUILD}: build first (meson compile -C {BUILD})")
        # With -# Catch2 tags each case with the name of its file.
        self.command = [program, "-#"]
        self.all_cases = f"[#{self.path.stem}]"
        names = self.listed("--list-test-names-only")
        if UNKNOWN_OPTION in names:  # Catch2 3, of Debian 13
            names = self.listed("--list-tests", "--verbosity", "quiet")
        if not names.strip():
            raise self.CollectError("the file has no test case")
        self.names = names.splitlines()
        return [Case.from_parent(self, name=name) for name in self.names]

    def listed(self, *options):
        return subprocess.run([*self.command, self.all_cases, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False).stdout

    def run(self, items, put):
        """Puts a report for each result; returns how the program ended."""
        with tempfile.TemporaryDirectory() as folder:
            results = pathlib.Path(folder) / "results.xml"
            # As meson does: what is read after its end, or before it is written, is a value that no test expects.
            environment = {**os.environ, "MALLOC_PERTURB_": str(random.randint(1, 255))}
            done = subprocess.run([*self.command, *self.selection(items, folder), "--reporter", "junit", "--out", results,
                                   "--order", "lex"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=2 * place_of(self).limit, check=False)
            ended = f"the program ended with status {done.returncode}:\n{done.stdout.decode(errors='replace')}"
            failed = self.put_results(results, put)
        if done.returncode and not failed:
            put(*reports_of(items[0], "failed", ended, nodeid=f"{self.nodeid}::the program as a whole"))
        return ended

    def selection(self, items, folder):
        if len(items) == len(self.names):
            return [self.all_cases]
        names = pathlib.Path(folder) / "names"
        escaped = (item.name.replace("\\", "\\\\").replace('"', '\\"') for item in items)
        names.write_text("".join(f'"{name}"\n' for name in escaped), encoding="utf-8")
        return ["--input-file", names]

    def put_results(self, results, put):
        """One report for each result, which is a case or a section of one; returns how many failed."""
        failed = 0
        try:
            cases = list(ElementTree.parse(results).iter("testcase"))
        except (FileNotFoundError, ElementTree.ParseError):
            return 0
        for case in cases:
            problems = [child for child in case if child.tag in ("failure", "error", "skipped")]
            text = "\n".join((child.text or child.get("message") or child.tag).strip() for child in problems)
            failed += bool(problems)
            put(*reports_of(self, "failed" if problems else "passed", text or None, nodeid=f"{self.nodeid}::{case.get('name')}",
                            seconds=float(case.get("time"))))
        return failed
