# SPDX-License-Identifier: MIT
"""What takes bytes from outside, each by itself under libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer.
Each target (tests/faults/fuzz) says what must hold of any bytes; here it is run, from the corpus that is kept beside
it, on all cores. The corpus is only read: tests/faults/fuzz/keep is what adds to it."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from faults import rounds

CORPUS = pathlib.Path(__file__).resolve().parent / "fuzz" / "corpus"
EXECUTIONS = 10_000_000
# One execution is a whole list, read two ways, or a whole dialogue, cut into pieces: of these fewer are to be had in the
# quarter of an hour that the others take.
EXECUTIONS_OF = {"answers": 2_000_000, "powerdown": 2_000_000}
# Of a short run: with seven targets it stays within its part of the ring's four minutes.
SECONDS = 3
# The longest input tried. What is read is lines and words; longer ones only make each execution slower. A link with
# its settings is longer, and so is a list of leases.
LONGEST = 256
LONGEST_OF = {"netlink": 1024, "answers": 640}
# Where something was allocated is of use only to somebody who runs the input again, and what was freed is watched
# for all of an execution with far less memory than by default: twice the executions in the same time.
SANITIZERS = {
    "ASAN_OPTIONS": "malloc_context_size=0:quarantine_size_mb=1:thread_local_quarantine_size_kb=64",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}
SHOWN_LINES = 60


class Fuzzer:
    """One process of a target, with a folder for what it finds."""

    def __init__(self, program, corpus, folder, runs):
        longest = LONGEST_OF.get(corpus.name, LONGEST)
        self.found = folder / "found"
        self.found.mkdir(parents=True)
        self.broken = folder / "broken-"
        limit = rounds(f"-max_total_time={SECONDS}", f"-runs={runs}")
        self.log_path = folder / "log"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                # Who waits for an answer, in the modules beside this one, goes first.
                ["nice", "-n", "19", program, limit, f"-max_len={longest}", "-timeout=10", "-rss_limit_mb=1024",
                 "-print_final_stats=1", f"-artifact_prefix={self.broken}", self.found, corpus],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **SANITIZERS})

    def figure(self, pattern):
        """The last such number in the log; 0 of a process that did not come so far."""
        numbers = re.findall(pattern, self.log_path.read_text(encoding="utf-8", errors="replace"))
        return int(numbers[-1]) if numbers else 0

    def problem(self):
        """None, or the end of the log and the input, to be run again by anybody."""
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
        self.assertTrue(build, "QEMU_TAPCTL_FUZZ does not say where the fuzz targets are: tools/check builds them")
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
        # How far a short run comes is the machine's speed and what else it does; the corpus is read in any case.
        self.assertGreaterEqual(executions, rounds(kept, wanted), "the fuzzer did not come far")

    def test_alias_codec(self):
        """Point 8: any bytes as an alias: what is decoded is in range and encodes the same, any good tag comes back"""
        self.fuzz("tap_tag")

    def test_bus_options(self):
        """Point 8: any dictionary as a call's options: taken where the interface says so, else invalid_argument"""
        self.fuzz("bus_options")

    def test_qemu_command(self):
        """Point 8: any QEMU command: its words unchanged but for one -append, each netdev of ours has one device"""
        self.fuzz("qemu_command")

    def test_configuration(self):
        """Point 8: any bytes as the configuration: invalid_argument in one line, or a plan whose taps are all valid"""
        self.fuzz("configuration")

    def test_netlink(self):
        """Point 8: any bytes as a netlink message: read within its end, in range, the same whatever is behind it"""
        self.fuzz("netlink")

    def test_answers(self):
        """Point 8: any dictionaries as the service's answer: read where the interface says so, else one refusal"""
        self.fuzz("answers")

    def test_powerdown(self):
        """Point 8: any words of a QEMU: at most three orders, in their order, whatever the pieces; none after the last"""
        self.fuzz("powerdown")


if __name__ == "__main__":
    unittest.main()
