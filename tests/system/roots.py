# SPDX-License-Identifier: MIT
"""roots [--path] [KIND [RELEASE]]: makes the root file systems of Debian 12 and 13 in which the ring `system` boots
and builds, so that the service is tested with the systemd, polkit and libraries of both.

KIND is `boot` (what an installed machine has, and the users of the scratch host) or `build` (what is needed to build
the packages and to run the other rings). Making a root takes a minute or two, so roots are kept under
$QEMU_TAPCTL_CACHE/roots (default: /var/cache/qemu-tapctl), each in a folder with a name derived from everything that it
is made from. They are used only as the lower layer of an overlay. --path prints where a root is and makes none. """

import fcntl
import hashlib
import inspect
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from tests.lib import users

SYSTEM = pathlib.Path(__file__).resolve().parent
TREE = SYSTEM.parent.parent
CACHE = pathlib.Path(os.environ.get("QEMU_TAPCTL_CACHE") or "/var/cache/qemu-tapctl") / "roots"
RELEASES = ("bookworm", "trixie")
KINDS = ("boot", "build")
DEFAULT_MIRROR = "http://deb.debian.org/debian"
# The packages of an installed machine. The packages under test must find their libraries without a network.
BOOT = """systemd systemd-sysv udev dbus polkitd libpam-systemd login passwd procps iproute2 python3-jeepney network-manager
    qemu-system-x86 libsystemd0 libnl-3-200 libnl-route-3-200"""
BOOT_LIBRARIES = {"bookworm": "libsdbus-c++1 libspdlog1.10 libfmt9",
                  "trixie": "libsdbus-c++2 libspdlog1.15 libfmt10"}
# Besides the users of the scratch host: one more caller for the matrix of callers, and a user that is in the foreground
# of the seat while another user's login there is inactive.
SITTER = "sitter"
USERS = {**users.USERS, "erin": 64105, SITTER: 64109}
# These must not run in a container: it has no console to log in at, no network to manage, no devices to announce.
MASKED = """apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
    console-getty.service getty@.service serial-getty@.service container-getty@.service systemd-udev-trigger.service
    systemd-networkd-wait-online.service systemd-timesyncd.service NetworkManager.service
    NetworkManager-wait-online.service""".split()
# A policy that depends on the kind of login alone, so that pkcheck shows a test which kind a login has.
PROBE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/PolicyKit/1.0/policyconfig.dtd">
<policyconfig>
  <action id="rig.login.kind">
    <description>Tell the kind of a login</description>
    <message>Tell the kind of a login</message>
    <defaults>
      <allow_any>no</allow_any>
      <allow_inactive>auth_admin</allow_inactive>
      <allow_active>yes</allow_active>
    </defaults>
  </action>
</policyconfig>
"""
# Roots of other trees on this machine stay this long after their last use.
KEPT_SECONDS = 24 * 3600
PROGRESS_SECONDS = 10


class CannotMake(Exception):
    """What is missing, as a message for the person that started the tests."""


def packages(kind, release):
    if kind == "boot":
        return sorted(f"{BOOT} {BOOT_LIBRARIES[release]}".split())
    done = subprocess.run([TREE / "tools/packages", "--names", "build", "test", "deb", "coverage"],
                          capture_output=True, text=True, check=True)
    return sorted(set(done.stdout.split()))


def path(kind, release):
    """Return where the root is, or will be. The name depends on everything that the root is made from, so different
    trees do not disturb each other."""
    words = [kind, release, *packages(kind, release), inspect.getsource(bootstrap)]
    if kind == "boot":
        words += [inspect.getsource(furnish_boot), PROBE, *MASKED, str(USERS)]
    return CACHE / f"{kind}-{release}-{hashlib.sha256(chr(10).join(words).encode()).hexdigest()[:16]}"


def in_use(kind, release):
    """Return the root's path and a descriptor. The root is not removed while the descriptor is open."""
    where = path(kind, release)
    try:
        descriptor = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise CannotMake(f"there is no {kind} root of {release} yet: tests/system/roots makes it") from None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.utime(descriptor)
    return where, descriptor


# The Debian mirror that this machine uses


def mirror():
    """Return the mirror of this machine's own release, which is near and has the other release too."""
    own = dict(line.rstrip().split("=", 1) for line in open("/etc/os-release", encoding="utf-8") if "=" in line)
    codename = own.get("VERSION_CODENAME", "").strip('"')
    done = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"],
                          capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in (codename, "stable") and words[2] == "main":
            return words[0].rstrip("/")
    return DEFAULT_MIRROR


def apt_options():
    """Return the options by which this machine reaches its mirror: proxies, certificates, and checks it leaves out."""
    done = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    wanted = re.compile(r'Acquire::(https?::|Check-|Retries|ForceIP)[^ ]* ".+";')
    return [line for line in done.stdout.splitlines() if wanted.fullmatch(line)]


# Making a root


def say(text):
    print(f"roots: {text}", file=sys.stderr, flush=True)


def megabytes(folder):
    done = subprocess.run(["du", "-sm", folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          check=False)
    return (done.stdout.split() or ["0"])[0]


class Progress:
    """Prints a line every few seconds while something large is made."""

    def __init__(self, text, folder):
        self.text = text
        self.folder = folder
        self.over = threading.Event()
        self.reporter = threading.Thread(target=self._report, daemon=True)
        self.start = time.monotonic()

    def _line(self):
        return f"{self.text}: {megabytes(self.folder)} MB, {time.monotonic() - self.start:.0f} s"

    def _report(self):
        while not self.over.wait(PROGRESS_SECONDS):
            say(self._line())

    def __enter__(self):
        say(self.text)
        self.reporter.start()

    def __exit__(self, kind, *_):
        self.over.set()
        self.reporter.join()
        if kind is None:
            say(f"{self._line()}: done")


# A package's script that stops the package's service searches /proc for the program's path, and the machine may run a
# program with the same path (polkitd's script uses start-stop-daemon --exec). So the script sees only processes that
# were started here.
ALONE = ("unshare", "--fork", "--pid", "--mount-proc", "--kill-child")


def bootstrap(release, names, root, work):
    """Runs mmdebstrap, which mounts what it needs in a namespace of its own."""
    options = work / "apt.conf"
    options.write_text("\n".join(apt_options()) + "\n", encoding="utf-8")
    argv = [*ALONE, "mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(names)}",
            f"--aptopt={options}", '--aptopt=Apt::Install-Recommends "false"', "--dpkgopt=force-unsafe-io",
            release, str(root), f"deb {mirror()} {release} main"]
    with open(work / "log", "wb") as log:
        popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            status = popen.wait()
        finally:
            popen.kill()
            popen.wait()
    if status:
        lines = (work / "log").read_text(encoding="utf-8", errors="replace").splitlines()
        raise CannotMake("\n".join([*lines[-30:], f"mmdebstrap ended with status {status}"]))


def furnish_boot(root):
    """Add the users of the scratch host, mask units, and install the policy by which tests find a login's kind."""
    for name, uid in USERS.items():
        subprocess.run(["groupadd", "--root", root, "--gid", str(uid), name], check=True)
        subprocess.run(["useradd", "--root", root, "--uid", str(uid), "--key", "UID_MAX=64999", "--gid", name,
                        "--create-home", "--shell", "/bin/sh", name], check=True)
    for unit in MASKED:
        mask = root / "etc/systemd/system" / unit
        mask.unlink(missing_ok=True)
        mask.symlink_to("/dev/null")
    (root / "usr/share/polkit-1/actions/rig.login.kind.policy").write_text(PROBE, encoding="utf-8")
    # polkitd reads the folder as a user of its own; the packages under test put rules there.
    (root / "etc/polkit-1/rules.d").chmod(0o755)
    # An empty file, because a missing one means a first boot, which sets up more than an installed machine does.
    (root / "etc/machine-id").write_text("", encoding="ascii")


def make(kind, release):
    where = path(kind, release)
    if where.is_dir():
        say(f"{kind} root of {release}: up to date")
        return
    work = pathlib.Path(tempfile.mkdtemp(prefix=".work.", dir=CACHE))
    root = work / "root"
    with Progress(f"making the {kind} root of {release}", work):
        bootstrap(release, packages(kind, release), root, work)
    if kind == "boot":
        furnish_boot(root)
    root.chmod(0o755)
    root.rename(where)
    shutil.rmtree(work)
    remove_old(kind, release, where)


def remove_old(kind, release, current):
    for old in CACHE.glob(f"{kind}-{release}-*"):
        if old == current or time.time() - old.stat().st_mtime < KEPT_SECONDS:
            continue
        descriptor = os.open(old, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old)
        except BlockingIOError:
            say(f"{old.name} is in use and stays")
        finally:
            os.close(descriptor)


def make_all(wanted):
    if os.geteuid() != 0:
        raise CannotMake("needs root")
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another tree is making them, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # A killed run left these. No other run uses them, because this one has the lock.
        for leftover in CACHE.glob(".work.*"):
            shutil.rmtree(leftover)
        try:
            for kind, release in wanted:
                make(kind, release)
        finally:
            for leftover in CACHE.glob(".work.*"):
                shutil.rmtree(leftover, ignore_errors=True)


def main():
    words = [word for word in sys.argv[1:] if word != "--path"]
    if len(words) > 2 or words[:1] and words[0] not in KINDS or words[1:] and words[1] not in RELEASES:
        print(f"usage: roots [--path] [{'|'.join(KINDS)} [{'|'.join(RELEASES)}]]", file=sys.stderr)
        return 2
    wanted = [(kind, release) for release in words[1:] or RELEASES for kind in words[:1] or KINDS]
    if "--path" in sys.argv[1:]:
        for kind, release in wanted:
            print(path(kind, release))
        return 0
    # After a plain `su`, PATH has no sbin, where useradd is, and the programs that dpkg needs.
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        make_all(wanted)
    except CannotMake as problem:
        say(str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
