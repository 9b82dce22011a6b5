# SPDX-License-Identifier: MIT
"""The jobs that tools/check runs in the background: each one is awaited, its failure is seen, and none outlives the
check."""

import os
import pathlib
import select
import signal
import subprocess
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent.parent.parent / "tools"
START = f"""
set -euo pipefail
. {TOOLS}/jobs.sh
trap end_jobs EXIT
first() {{ echo "first begins"; sleep 0.2; echo "first ends"; }}
second() {{ echo "second begins"; false; echo "never"; }}
endless() {{ echo "$BASHPID"; sleep 1000; }}
"""


class Jobs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = f"{folder.name}/jobs"

    def start(self, script):
        return subprocess.Popen(["bash", "-c", START + script, "bash", self.folder], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True, start_new_session=True)

    def run_script(self, script):
        with self.start(script) as popen:
            out = popen.communicate()[0]
        return popen.returncode, [line for line in out.splitlines() if line]

    def test_awaited(self):
        """Jobs run one after the other, and the output of each appears once, when the job is awaited."""
        status, lines = self.run_script("""
            add_job first first; add_job again first; start_jobs "$1"
            await_job again; echo "between"; await_job first; await_job first; await_job none""")
        self.assertEqual(status, 0)
        self.assertEqual([line for line in lines if not line.startswith("-- ")],
                         ["first begins", "first ends", "between", "first begins", "first ends"])

    def test_failure(self):
        """A job ends at its first error; each ring that awaits it gets its status, and the next job runs."""
        status, lines = self.run_script("""
            add_job second second; add_job first first; start_jobs "$1"
            await_job second || echo "status $?"; await_job second || echo "status $?"; await_job first""")
        self.assertEqual(status, 0)
        self.assertEqual([line for line in lines if not line.startswith("-- ")],
                         ["second begins", "status 1", "status 1", "first begins", "first ends"])

    def test_background_killed(self):
        """A job whose process is killed from outside has failed; no ring waits for it for ever."""
        status, lines = self.run_script("""
            add_job endless endless; start_jobs "$1"
            until [[ -s $1/endless.log ]]; do sleep 0.1; done
            kill -KILL -- "-$jobs_pid"; await_job endless || echo "status $?"
            """)
        self.assertEqual((status, lines[-1]), (0, "status 1"))

    def test_nothing_is_left(self):
        """When the check ends, also by a signal to its process group, its jobs end."""
        for number in (0, signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                # Builtins alone: bash passes over an interrupt that a program in the foreground has survived.
                # The check that ends by itself waits until the test watches the job.
                wait = 'wait "$jobs_pid"' if number else "read -r || true"
                with self.start(f"""
                        add_job endless endless; start_jobs "$1"
                        until [[ -s $1/endless.log ]]; do sleep 0.1; done
                        read -r job <"$1/endless.log"; echo "$job"; {wait}""") as popen:
                    job = os.pidfd_open(int(popen.stdout.readline()))
                    if number:
                        os.killpg(popen.pid, number)
                    popen.stdin.close()
                    popen.wait()
                    self.assertTrue(select.select([job], [], [], 60)[0], "the job still runs")
                os.close(job)
