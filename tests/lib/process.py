# SPDX-License-Identifier: MIT
"""One started program: its log, its life and its end. Ends are waited for by pidfd, so nothing is polled and a
pid that was given to somebody else is never signalled."""

import os
import select
import signal
import subprocess
import time

# Seconds after which a wait for an event has failed. The limit only says that a program hangs, so no machine that is
# slow, or busy with other work, reaches it.
HANGS = 60


def until(condition, what, limit=HANGS):
    """For what nobody announces: how a terminal is set, what a process has become, that somebody listens."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit} s: {what}")
        select.select([], [], [], 0.01)


class Process:
    """A program that is expected to keep running until it is told otherwise."""

    def __init__(self, argv, log, **options):
        self.argv = argv
        self.log_path = log
        # A session of its own, as systemd gives each service: the scheduler shares the processors among sessions.
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=options.pop("stdout", out),
                                          stderr=out, start_new_session=True, **options)
        self.pid = self.popen.pid
        self.pidfd = os.pidfd_open(self.pid)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def alive(self):
        return not select.select([self.pidfd], [], [], 0)[0]

    def wait(self, timeout=HANGS):
        """The exit status, negative for a signal."""
        if not select.select([self.pidfd], [], [], timeout)[0]:
            raise AssertionError(f"{self.argv[0]} still runs after {timeout} s")
        return self.popen.wait()

    def send(self, number):
        if self.alive():
            signal.pidfd_send_signal(self.pidfd, number)

    def kill(self):
        self.send(signal.SIGKILL)
        return self.wait()

    def terminate(self, number=signal.SIGTERM, timeout=HANGS):
        self.send(number)
        return self.wait(timeout)

    def limit_descriptors(self, soft, hard):
        """Its RLIMIT_NOFILE from now on, set by its own user: root of a machine may lack CAP_SYS_RESOURCE."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            owner, group = (line.split()[1] for line in file if line.startswith(("Uid:", "Gid:")))
        subprocess.run(["setpriv", "--reuid", owner, "--regid", group, "--clear-groups",
                        "prlimit", "--pid", str(self.pid), f"--nofile={soft}:{hard}"], check=True)

    def freeze(self):
        """Stopped when this returns, not merely told to stop."""
        self.send(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self):
        self.send(signal.SIGCONT)

    def close(self):
        if self.pidfd is not None:
            self.thaw()
            self.kill()
            os.close(self.pidfd)
            self.pidfd = None
