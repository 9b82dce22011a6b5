# SPDX-License-Identifier: MIT
"""A booted Debian with a real systemd, logind, dbus and polkit, in which the packages under test are installed, for use
by a test. Nothing that a container does affects the machine: it has a network of its own without a way out, a root file
system that is discarded at its end, and no device that matters except /dev/net/tun.

    with Container("trixie") as container:             # booted, packages installed, state "running"
        container.set_members("alice")                 # of group qemu-tap
        done = container.ctl("alice", "up")            # qemu-tapctl, as alice in a service, without a login
        done = container.run("bob", "busctl", "list", login="active")
        container.root("systemctl", "stop", "polkit")  # set-up with all privileges; raises an exception if it fails
"""

import atexit
import itertools
import json
import os
import pathlib
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from tests.lib import kernel
from tests.lib.host import Done
from tests.lib.process import HANGS
from tests.system import keeper
from tests.system import roots
from tests.system.login import KINDS, NONE, Login, Timed, TookTooLong  # noqa: F401 (users of containers import these from here)

TESTS = roots.SYSTEM.parent
BUILD = pathlib.Path(os.environ.get("QEMU_TAPCTL_BUILD") or roots.TREE / "build")
GUEST_IMAGES = roots.CACHE.parent / "guest"
BOOT_SECONDS = 180
STOP_SECONDS = 120
POLL_SECONDS = 0.02
# The environment of commands that prepare something: no variable of the caller's gets into the container.
SURROUNDINGS = ["env", "--ignore-environment", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
                "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "PYTHONPATH=/opt",
                "PYTHONDONTWRITEBYTECODE=1"]

_numbers = itertools.count(1)


class CannotBoot(Exception):
    """What this machine lacks for a container, or how the container ended."""


def packages_of(release):
    """Return the .deb files that tests/system/packages has built."""
    folder = BUILD / "debs" / release
    debs = sorted(folder.glob("*.deb"))
    if not debs:
        raise CannotBoot(f"no packages in {folder}: tests/system/packages {release} {folder} builds them")
    return debs


def this_release():
    return os.environ.get("QEMU_TAPCTL_RELEASE") or "bookworm"


class Container:
    """A container that boots on creation. `close()`, or any end of this process, removes every trace of it. Several can
    run at once. `debs`: the packages to install (default: the packages under test; (): none). `options`: more options
    of systemd-nspawn. Inside, the tree's tests/ are at /opt/tests and the guest images at /opt/guest."""

    def __init__(self, release=None, debs=None, options=()):
        if os.geteuid() != 0:
            raise CannotBoot("containers need root")
        self.release = release or this_release()
        self.name = f"{self.release}-{os.getpid()}-{next(_numbers)}"
        self.logins = {}
        self.opening = threading.RLock()
        self.leader = self.keeper = self.in_use = None
        debs = packages_of(self.release) if debs is None else debs
        try:
            self.root_folder, self.in_use = roots.in_use("boot", self.release)
            self.log = tempfile.TemporaryFile()
            self._boot(options)
            self.root("chmod", "666", "/dev/net/tun")
            if debs:
                self.install(*debs)
        except roots.CannotMake as problem:
            raise CannotBoot(str(problem)) from None
        except BaseException:
            self.close()
            raise
        atexit.register(self.close)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Start and end

    def _boot(self, options):
        binds = [f"--bind-ro={TESTS}:/opt/tests"]
        if GUEST_IMAGES.is_dir():
            binds.append(f"--bind-ro={GUEST_IMAGES}:/opt/guest")
        argv = [sys.executable, keeper.__file__, self.name, self.root_folder, *binds, *options]
        with tempfile.TemporaryDirectory(prefix="qemu-tapctl-") as folder, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            ear.bind(f"{folder}/notify")
            self.keeper = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=self.log, stderr=self.log,
                                           start_new_session=True,
                                           env={**os.environ, "NOTIFY_SOCKET": f"{folder}/notify"})
            self.ended = os.pidfd_open(self.keeper.pid)
            self._wait_until_running(ear)
        state = self.root("systemctl", "is-system-running", "--wait", check=False).out.strip()
        if state != "running":
            failed = self.root("systemctl", "--failed", "--no-legend", check=False).out
            raise CannotBoot(f"{self.release} is {state} after its boot: {failed}")

    def console(self):
        """Return the output of the container and of its keeper."""
        return os.pread(self.log.fileno(), os.fstat(self.log.fileno()).st_size, 0).decode(errors="replace")

    def _wait_until_running(self, ear):
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            ready, _, _ = select.select([ear, self.ended], [], [], max(0, deadline - time.monotonic()))
            if ear not in ready:
                how = "ended during its boot" if ready else f"did not boot within {BOOT_SECONDS} s"
                raise CannotBoot(f"the container of {self.release} {how}:\n{self.console()}")
            words = dict(line.split("=", 1) for line in ear.recv(4096).decode().splitlines() if "=" in line)
            if "X_NSPAWN_LEADER_PID" in words:
                self.leader = int(words["X_NSPAWN_LEADER_PID"])
            if words.get("READY") == "1" and self.leader:
                return

    def stop(self):
        """Shut the container down in order, as an administrator does."""
        for login in self.logins.values():
            login.close()
        self.logins = {}
        os.kill(self.leader, signal.SIGRTMIN + 3)
        if not select.select([self.ended], [], [], STOP_SECONDS)[0]:
            raise AssertionError(f"{self.release} did not shut down within {STOP_SECONDS} s:\n{self.console()}")
        self.leader = None
        self.close()

    def close(self):
        """Remove the container, whatever its state is."""
        atexit.unregister(self.close)
        if self.keeper:
            self.keeper.stdin.close()
            self.keeper.wait()
            os.close(self.ended)
            self.keeper = None
            for login in self.logins.values():
                login.forget()
            self.logins = {}
        if self.in_use is not None:
            os.close(self.in_use)
            self.in_use = None

    # Commands

    def entering(self, *argv):
        """Return the words that run a command inside, as root with all privileges of the machine: only for set-up."""
        return ["nsenter", f"--target={self.leader}", "--all", "--wd=/", *SURROUNDINGS, *map(str, argv)]

    def root(self, *argv, given=None, timeout=120, check=True):
        """Run a set-up command. `given` is its input, text or bytes. With `check`, raise an exception if it fails."""
        given = given.encode() if isinstance(given, str) else given
        source = {"stdin": subprocess.DEVNULL} if given is None else {"input": given}
        done = subprocess.run(self.entering(*argv), **source, capture_output=True, timeout=timeout, check=False)
        texts = [octets.decode(errors="surrogateescape") for octets in (done.stdout, done.stderr)]
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(map(str, argv))}: status {done.returncode}, {texts[0]!r}, {texts[1]!r}")
        return Done(done.returncode, *texts)

    def login(self, user, kind=NONE):
        """Return the user's login of that kind, opened at its first use: `none` (a service, without a login), `remote`
        (a login without a seat, as by ssh), `active` or `inactive` (at the seat, in the foreground or behind another
        user). Opening one ends the user's other logins, because polkit treats all as active if one of them is."""
        assert kind in KINDS, kind
        with self.opening:
            if (user, kind) not in self.logins:
                for other in KINDS if kind != NONE else ():
                    if other != NONE and (user, other) in self.logins:
                        self.logins.pop((user, other)).close()
                self.logins[user, kind] = Login(self, user, kind)
            return self.logins[user, kind]

    def sitter(self):
        """Return the login that is in the foreground while another user's login at the seat is to be inactive."""
        return self.login(roots.SITTER, "active")

    def run(self, user, *argv, login=NONE, **words):
        """Run a command as a user, in a login of that kind, to its end; see Login.run. Return a Timed: status, out,
        err, seconds."""
        return self.login(user, login).run(*argv, **words)

    def start(self, user, *argv, login=NONE, **words):
        """Start a command and let it run; return a Started, with wait(), kill() and log()."""
        return self.login(user, login).start(*argv, **words)

    def ctl(self, user, *arguments, **words):
        """Run the client."""
        return self.run(user, "qemu-tapctl", *arguments, **words)

    def pipe(self, user, *argv, tty=False, **options):
        """Return a Popen of a command as a user without a login, connected by pipes, for commands that need a dialogue.
        With `tty` a terminal is between, so all output arrives on stdout."""
        if tty:
            argv = ["script", "--quiet", "--return", "--flush", "--command", shlex.join(map(str, argv)), "/dev/null"]
        words = ["--pipe", "--quiet", "--collect", "--wait", f"--uid={user}", "--setenv=PYTHONPATH=/opt",
                 "--setenv=LANG=C.UTF-8", "--setenv=TERM=dumb"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(self.entering("systemd-run", *words, "--", *argv), **pipes)

    # Files and packages

    def write(self, path, text, mode="644"):
        """Write a file, and make its folders."""
        self.root("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"', "sh", path, mode,
                  given=text)

    def put(self, source, path, mode="644"):
        """Copy a file of the machine into the container."""
        self.write(path, pathlib.Path(source).read_bytes(), mode)

    def read(self, path):
        return self.root("cat", path).out

    def install(self, *debs):
        """Install the packages with dpkg, on the running system and without a network. This fails if something that
        they depend on is missing."""
        self.root("mkdir", "-p", "/opt/debs")
        for deb in debs:
            self.put(deb, f"/opt/debs/{pathlib.Path(deb).name}")
        done = self.run("root", "dpkg", "--install", *(f"/opt/debs/{pathlib.Path(deb).name}" for deb in debs),
                        timeout=120)
        if done.status:
            raise CannotBoot(f"the packages could not be installed in {self.release}: {done.out}{done.err}")

    # State inside

    def journal(self, unit=None):
        """Return what the unit (default: everything) has written to the journal."""
        self.root("journalctl", "--sync")
        which = ["--unit", unit] if unit else []
        return self.root("journalctl", "--no-pager", "--output=short-monotonic", *which).out

    def show(self, unit, *names):
        """Return properties of a unit as texts."""
        done = self.root("systemctl", "show", "--property", ",".join(names), unit)
        found = dict(line.split("=", 1) for line in done.out.splitlines() if "=" in line)
        return found[names[0]] if len(names) == 1 else found

    def main_pid(self, unit="qemu-tapd.service"):
        """Return the unit's main pid inside the container, or 0 if it does not run."""
        return int(self.show(unit, "MainPID"))

    def wait_for(self, condition, what="the condition", timeout=HANGS):
        """Poll until `condition()` is true, and return its value."""
        deadline = time.monotonic() + timeout
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout} s: {what}")
            select.select([self.ended], [], [], POLL_SECONDS)
        return found

    def wait_for_state(self, unit, *states):
        """Wait until systemd reports one of these states for the unit."""
        return self.wait_for(lambda: self.show(unit, "ActiveState") in states, f"{unit} is {states}")

    def network(self):
        """Return links, addresses and routes; tests.lib.kernel.differences() compares two such results."""
        done = self.root("python3", "-c", "import json; from tests.lib import kernel; print(json.dumps(kernel.snapshot()))")
        return json.loads(done.out)

    def links(self):
        """Return every link by name, with details."""
        return {link["ifname"]: link for link in json.loads(self.root("ip", "-j", "-d", "link").out) if link}

    def taps(self):
        """Return the names of the devices that have an alias of the service."""
        return sorted(name for name, link in self.links().items()
                      if link.get("ifalias", "").startswith(kernel.ALIASES))

    # Changes inside

    def set_members(self, *names):
        """Make these users the members of group qemu-tap. Users that join or leave it are logged out, and what they run
        ends: Debian 13's polkit uses the groups of the process, which are those at its login."""
        before = self.root("getent", "group", "qemu-tap").out.strip().split(":")[3]
        self.root("gpasswd", "--members", ",".join(names), "qemu-tap")
        changed = set(before.split(",")) ^ set(names)
        with self.opening:
            for user, kind in [key for key in self.logins if key[0] in changed]:
                self.logins.pop((user, kind)).close()

    def start_udevd(self):
        """Run systemd-udevd, which needs a writable /sys. Only the folder that holds the parts of sysfs becomes
        writable; the parts stay read-only. udevd receives events of new network devices and can change them by netlink
        only. It never gets events for the machine's devices."""
        self.root("mount", "-o", "remount,rw", "/sys")
        self.root("systemctl", "start", "systemd-udevd.service")
        assert self.show("systemd-udevd.service", "ActiveState") == "active"
