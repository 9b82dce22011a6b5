# SPDX-License-Identifier: MIT
"""Each piece of code that reads bytes from outside runs by itself under libFuzzer, with AddressSanitizer and
UndefinedBehaviorSanitizer. Each target (tests/faults/fuzz) states what must hold for any bytes. This module runs the
targets on all processors, starting from the corpus that is kept beside them. It only reads the corpus; the script
tests/faults/fuzz/keep adds to it."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import pytest

from tests.faults.faults import rounds

pytestmark = pytest.mark.early

CORPUS = pathlib.Path(__file__).resolve().parent / "fuzz" / "corpus"
EXECUTIONS = 10_000_000
# One execution of these reads a whole list in two ways, or a whole dialogue cut into pieces. These are as many as they
# do in the quarter of an hour in which the others do EXECUTIONS.
EXECUTIONS_OF = {"answers": 2_000_000, "powerdown": 2_000_000}
# For a short run: the seven targets then keep to their share of the ring's four minutes.
SECONDS = 3
# The longest input tried. The targets read lines and words, and longer inputs only make each execution slower. A link
# with its settings needs more bytes, and so does a list of leases.
LONGEST = 256
LONGEST_OF = {"netlink": 1024, "answers": 640}
# The place of an allocation matters only to a developer who runs the input again. A small quarantine still watches
# freed memory during the whole execution. Both settings together double the number of executions.
SANITIZERS = {
    "ASAN_OPTIONS": "malloc_context_size=0:quarantine_size_mb=1:thread_local_quarantine_size_kb=64",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
SHOWN_LINES = 60


class Fuzzer:
    """One process of a target, with a folder for the inputs that it finds."""

    def __init__(self, program, corpus, folder, runs):
        longest = LONGEST_OF.get(corpus.name, LONGEST)
        self.found = folder / "found"
        self.found.mkdir(parents=True)
        self.broken = folder / "broken-"
        limit = rounds(f"-max_total_time={SECONDS}", f"-runs={runs}")
        self.log_path = folder / "log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                # The other test modules of the ring wait for answers, so they get the processor first.
                ["nice", "-n", "19", program, limit, f"-max_len={longest}", "-timeout=10", "-rss_limit_mb=1024",
                 "-print_final_stats=1", f"-artifact_prefix={self.broken}", self.found, corpus],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **SANITIZERS})

    def figure(self, pattern):
        """Return the last such number in the log, or 0 if the process did not write any."""
        numbers = re.findall(pattern, self.log_path.read_text(encoding="utf-8", errors="replace"))
        return int(numbers[-1]) if numbers else 0

    def problem(self):
        """Return None, or the end of the log and the input, with which the failure can be repeated."""
        inputs = [path.read_bytes() for path in sorted(self.broken.parent.glob("broken-*"))]
        if not self.process.returncode and not inputs:
            return None
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        start = next((at for at, line in enumerate(lines) if re.search("BROKEN PROMISE|ERROR: |runtime error", line)),
                     max(0, len(lines) - SHOWN_LINES))
        return "\n".join([f"status {self.process.returncode}", *lines[start:start + SHOWN_LINES],
                          *(f"input: {content!r}" for content in inputs)])


class Fuzz(unittest.TestCase):
    def fuzz(self, target):
        build = os.environ.get("QEMU_TAPCTL_FUZZ")
        self.assertTrue(build, "QEMU_TAPCTL_FUZZ must name the folder of the fuzz targets that tools/check builds")
        program = pathlib.Path(build) / "tests" / "faults" / "fuzz" / f"fuzz-{target}"
        corpus = CORPUS / target
        folder = pathlib.Path(tempfile.mkdtemp(prefix="qemu-tapctl-fuzz-"))
        self.addCleanup(shutil.rmtree, folder)
        wanted = EXECUTIONS_OF.get(target, EXECUTIONS)
        cores = len(os.sched_getaffinity(0))
        started = time.monotonic()
        fuzzers = []
        try:
            for core in range(cores):
                fuzzers.append(Fuzzer(program, corpus, folder / str(core), -(-wanted // cores)))
            for fuzzer in fuzzers:
                fuzzer.process.wait()
        finally:
            for fuzzer in fuzzers:
                fuzzer.process.kill()
                fuzzer.process.wait()
        self.judge(fuzzers, corpus, wanted, time.monotonic() - started)

    def judge(self, fuzzers, corpus, wanted, seconds):
        executions = sum(fuzzer.figure(r"stat::number_of_executed_units: (\d+)") for fuzzer in fuzzers)
        problems = [fuzzer.problem() for fuzzer in fuzzers]
        kept = len(list(corpus.iterdir()))
        new = sum(len(list(fuzzer.found.iterdir())) for fuzzer in fuzzers)
        branches = max(fuzzer.figure(r" cov: (\d+)") for fuzzer in fuzzers)
        self.shows = (f"executions {executions}, a second {executions / seconds:.0f}, inputs kept {kept}, "
                      f"new inputs {new}, branches seen {branches}, "
                      f"crashes, hangs and broken promises {sum(map(bool, problems))}")
        self.assertFalse(any(problems), "\n".join(["", *filter(None, problems)]))
        self.assertGreater(kept, 0, "there is no corpus")
        # How many executions a short run reaches depends on the machine's load; it always reads the whole corpus.
        self.assertGreaterEqual(executions, rounds(kept, wanted), "the fuzzer made too few executions")

    def test_alias_codec(self):
        """Point 8: any alias that decodes has values in range and encodes to itself; a valid tag decodes to itself"""
        self.fuzz("tap_tag")

    def test_bus_options(self):
        """Point 8: any dictionary as a call's options is accepted as the interface allows, or is invalid_argument"""
        self.fuzz("bus_options")

    def test_qemu_command(self):
        """Point 8: any QEMU command keeps its words but for one -append; each netdev that is added has one device"""
        self.fuzz("qemu_command")

    def test_configuration(self):
        """Point 8: any bytes as the configuration give a plan with valid taps only, or invalid_argument in one line"""
        self.fuzz("configuration")

    def test_netlink(self):
        """Point 8: any bytes as a netlink message are read within their end, whatever follows, with values in range"""
        self.fuzz("netlink")

    def test_answers(self):
        """Point 8: any dictionaries as the service's answer are read as the interface allows, or refused as a whole"""
        self.fuzz("answers")

    def test_powerdown(self):
        """Point 8: any words from QEMU, however cut, lead to at most three commands in order, none after the last"""
        self.fuzz("powerdown")


if __name__ == "__main__":
    unittest.main()
