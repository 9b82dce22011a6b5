# SPDX-License-Identifier: MIT
"""A scratch host with everything that is compared, and the means to run and time programs on it."""

import contextlib
import os
import re
import subprocess
import time

from tests.lib import users
from tests.lib.host import BUS_POLICY, Host, identity, program_environment

USER = "alice"
UID = users.USERS[USER]
# Allows the method that does nothing, whose time is the cost of the bus.
NOTHING = """<busconfig><policy context="default">
  <allow own="org.qemutap1.Nothing"/>
  <allow send_destination="org.qemutap1.Nothing"/>
</policy></busconfig>
"""
# Options for the figures that need thousands of leases.
MANY = ("--prefix-length=30", "--max-taps=8000", "--max-taps-per-user=8000", "--log-level=warning")


class Place(Host):
    """A host with a running service, started with these options, that has no leases yet."""

    def __init__(self, *options):
        super().__init__()
        with open(f"{BUS_POLICY}/nothing.conf", "w", encoding="ascii") as file:
            file.write(NOTHING)
        users.set_members(USER)
        self.programs()
        self.client = self.share(f"{self.build}/client/qemu-tapctl")
        self.measurer = self.share(f"{self.build}/tests/bench/measure")
        self.start_bus()
        self.start_polkit()
        self.start_daemon(*options)

    def close(self):
        """End all leases, because they outlive their service and would be there for the next host."""
        super().close()
        subprocess.run(self.daemon_command("--end-leases"), stdout=subprocess.DEVNULL, check=True)

    def measure(self, *words):
        """Return the times that `measure` takes, in microseconds, by name."""
        done = subprocess.run([self.measurer, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True)
        return times_of(done.stdout.splitlines())

    def measuring(self, *words):
        """Start `measure`, wait until it is ready, and return it."""
        popen = subprocess.Popen([self.measurer, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 text=True)
        if popen.stdout.readline() != "ready\n":
            raise RuntimeError(f"measure {' '.join(map(str, words))} did not begin")
        return popen

    def calm(self):
        """Wait until the service has processed all events of what was done: the kernel announces only some hundred lost
        carriers a second. Return how often the service has woken up."""
        before = -1
        while before != switches(self.daemon.pid):
            before = switches(self.daemon.pid)
            time.sleep(1)
        return before

    def output(self, *argv, user=USER):
        """Return what a user's program prints."""
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True, cwd="/",
                              env=program_environment(user), **identity(user)).stdout

    def command(self, *argv, user="root", **how):
        """Run a user's whole program; return its time in milliseconds and its maximum resident memory in KiB."""
        done = subprocess.run([self.measurer, "command", *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, cwd="/", env=program_environment(user),
                              **identity(user), **how)
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr}")
        found = times_of(done.stdout.splitlines())
        return found["took"][0] / 1000, found["resident"][0]

    def milliseconds(self, *argv, **how):
        return self.command(*argv, **how)[0]

    def ctl(self, *words, user=USER):
        """Run the client; return its time in milliseconds."""
        return self.milliseconds("qemu-tapctl", *words, user=user)


def switches(pid):
    """Return how often the process went to sleep, which is once for each time it woke up."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        (line,) = [line for line in file if line.startswith("voluntary_ctxt_switches:")]
    return int(line.split()[1])


def times_of(lines):
    found = {}
    for line in lines:
        name, values = re.fullmatch(r"([a-z0-9 ]*[a-z])((?: [\d.]+)*)", line).groups()
        found[name] = [float(value) for value in values.split()]
    return found


def finished(popen):
    """End a program that `measuring` started, and return its times."""
    with contextlib.closing(popen.stdout):
        popen.stdin.close()
        times = times_of(popen.stdout.read().splitlines())
    if popen.wait():
        raise RuntimeError(f"{popen.args} ended with {popen.returncode}")
    return times


def mount_empty(*folders):
    """Cover folders of this host with empty ones, for programs that store things in fixed places."""
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", folder], check=True)
