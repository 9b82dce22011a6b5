#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""keeper.py NAME ROOT OPTION...: boots one container and removes everything of it when the test that needs it ends. A
container ends neither with the process that started it nor with the one that waits for it, so this program does that.

The container lives as long as this program's standard input is open. When that is closed, for whatever reason, the
keeper kills all processes of the container and removes its control groups. If the container stops by itself, the keeper
ends. It reports to NOTIFY_SOCKET when the container runs, and the pid of the container's first process.
"""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import time

PREFIX = "qemu-tapctl-"
PR_SET_PDEATHSIG = 1  # linux/prctl.h
NSPAWN = """systemd-nspawn --quiet --register=no --keep-unit --boot --notify-ready=yes --private-network --console=pipe
    --kill-signal=SIGRTMIN+3 --link-journal=no --resolv-conf=off --timezone=off --volatile=overlay""".split()
# Without the first option services inside get no device rules, and a test of such rules would prove nothing. Without
# the second one root inside could make a node of any device of the machine.
CONFINED = ["--system-call-filter=bpf", "--drop-capability=CAP_MKNOD"]
ENVIRONMENT = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1", "SYSTEMD_NSPAWN_LOCK": "0"}
# Only the end of standard input ends the keeper: a signal from the test's terminal must not leave a container.
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LEFT_BY_NSPAWN = ("propagate", "unix-export")


def hierarchies():
    """Return where this machine has the control groups that systemd works with: version 2's, and version 1's if both
    exist."""
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2" or kind == "cgroup" and "name=systemd" in options.split(","):
            found.append((kind, pathlib.Path(before.split(" ")[4])))
    if not any(kind == "cgroup2" for kind, _ in found):
        raise OSError("no version 2 control groups are mounted (mount -t cgroup2 none /sys/fs/cgroup/unified)")
    # Version 2 first, because only its groups have cgroup.kill.
    return [where for _, where in sorted(found, reverse=True)]


class ControlGroups:
    """A group of the keeper's own in each hierarchy. Otherwise all containers of the machine would share one."""

    def __init__(self, name):
        self.groups = [where / f"{PREFIX}{name}" for where in hierarchies()]
        for group in self.groups:
            group.mkdir()
        # The locks show other keepers that this container has a keeper.
        self.locks = [os.open(group, os.O_RDONLY | os.O_CLOEXEC) for group in self.groups]
        for lock in self.locks:
            fcntl.flock(lock, fcntl.LOCK_EX)

    def enter(self):
        for group in self.groups:
            (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")

    def end(self):
        for group in self.groups:
            end_group(group)


def end_group(group):
    """Kill all processes in the group and remove it. The kernel takes a moment to end them."""
    deadline = time.monotonic() + 60
    while group.exists():
        with contextlib.suppress(OSError):
            (group / "cgroup.kill").write_text("1", encoding="ascii")
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{group} cannot be removed")
        select.select([], [], [], 0.01)


def forget(name):
    """Remove the folders that nspawn leaves."""
    for folder in LEFT_BY_NSPAWN:
        shutil.rmtree(f"/run/systemd/nspawn/{folder}/{name}", ignore_errors=True)


def end_orphans():
    """End containers whose keeper was killed and left them."""
    for where in hierarchies():
        for group in where.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                lock = os.open(group, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    end_group(group)
                    forget(group.name.removeprefix(PREFIX))
                finally:
                    os.close(lock)


def boot(groups, name, root, options):
    def prepare():
        for number in IGNORED:
            signal.signal(number, signal.SIG_DFL)
        groups.enter()
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    argv = [*NSPAWN, *CONFINED, f"--machine={name}", f"--directory={root}", *options]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, env={**os.environ, **ENVIRONMENT}, preexec_fn=prepare)


@contextlib.contextmanager
def alone():
    """Exclude other keepers: a group that is made but not yet locked looks like that of a killed keeper."""
    descriptor = os.open(hierarchies()[0], os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def keep(name, root, options):
    with alone():
        end_orphans()
        groups = ControlGroups(name)
    try:
        nspawn = boot(groups, name, root, options)
        ended = os.pidfd_open(nspawn.pid)
        select.select([sys.stdin, ended], [], [])
        nspawn.poll()
        nspawn.kill()
        return nspawn.wait()
    finally:
        forget(name)
        groups.end()


def main():
    if len(sys.argv) < 3:
        print("usage: keeper.py NAME ROOT OPTION...", file=sys.stderr)
        return 2
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    try:
        return abs(keep(sys.argv[1], sys.argv[2], sys.argv[3:]))
    except (OSError, TimeoutError) as problem:
        print(f"keeper: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
