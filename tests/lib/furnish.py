# SPDX-License-Identifier: MIT
"""Furnishes fresh namespaces as a scratch host: what a test may write to (/etc, /run, /dev, polkit's directories)
becomes a private copy, and the rest of the machine stays as it is, read by everyone, changed by no one.
Only `enter` calls this, after it has made sure that the namespaces are not the machine's."""

import os
import shutil
import subprocess

from tests.lib import users

RIG = "/run/rig"
ACTIONS = f"{RIG}/polkit/actions"
RULES = f"{RIG}/polkit/rules.d"
# In the place of /tmp/qemu-tap-locks: /tmp is the machine's.
RUNQEMU_LOCKS = f"{RIG}/tmp/qemu-tap-locks"
# Any fixed value: guest MACs hold a byte of it, so results repeat on every machine, also on one that has no id.
MACHINE_ID = "5c7a7c40517e4b0f9d3e2a1b6c8d0e4f"


class CannotFurnish(Exception):
    """This machine lacks something the scratch host is made of."""


def _command(*argv):
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except OSError as error:
        raise CannotFurnish(f"{argv[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise CannotFurnish(f"{' '.join(argv)}: {done.stdout.strip()}")


def _tmpfs(path, options="mode=0755"):
    _command("mount", "-t", "tmpfs", "-o", options, "tmpfs", path)


def _bind(source, target):
    _command("mount", "--bind", source, target)


def _directory(path, mode=0o755):
    os.makedirs(path, exist_ok=True)
    os.chmod(path, mode)


def _private_run():
    _tmpfs("/run")
    for name in ("dbus", "lock", "rig", "systemd/seats", "systemd/sessions", "systemd/users", "systemd/machines"):
        _directory(f"/run/{name}")
    _directory("/run/lock", 0o1777)
    _directory(os.path.dirname(RUNQEMU_LOCKS), 0o1777)


def _private_dev():
    """A /dev of our own: /dev/net/tun open to all as udev sets it, /dev/vhost-net absent until a test puts one,
    and both can be taken away by a test without anyone outside noticing."""
    draft = f"{RIG}/dev"
    _directory(draft)
    _tmpfs(draft)
    for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "kvm"):
        if os.path.exists(f"/dev/{name}"):
            facts = os.stat(f"/dev/{name}")
            os.mknod(f"{draft}/{name}", facts.st_mode, facts.st_rdev)
            os.chmod(f"{draft}/{name}", facts.st_mode & 0o7777)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
                         ("stderr", "/proc/self/fd/2")):
        os.symlink(target, f"{draft}/{name}")
    _directory(f"{draft}/shm", 0o1777)
    _directory(f"{draft}/pts")
    if os.path.isdir("/dev/pts"):
        _bind("/dev/pts", f"{draft}/pts")
    _directory(f"{draft}/net")
    _tmpfs(f"{draft}/net")
    _command("mount", "--move", draft, "/dev")
    place_tun()


def place_tun(mode=0o666):
    path = "/dev/net/tun"
    if os.path.exists(path):
        os.unlink(path)
    os.mknod(path, 0o020000 | mode, os.makedev(10, 200))
    os.chmod(path, mode)


def _private_etc():
    copy = f"{RIG}/etc"
    _command("cp", "-a", "/etc", copy)
    _bind(copy, "/etc")
    for leftover in ("/etc/qemu-tapd.conf", "/etc/polkit-1"):
        if os.path.isdir(leftover):
            shutil.rmtree(leftover)
        elif os.path.lexists(leftover):
            os.unlink(leftover)
    _directory("/etc/polkit-1/rules.d")
    if os.path.lexists("/etc/machine-id"):
        os.unlink("/etc/machine-id")
    with open("/etc/machine-id", "w", encoding="ascii") as file:
        file.write(MACHINE_ID + "\n")
    users.add_users()


def _private_polkit():
    """polkitd reads its two directories of files at fixed paths; of what the machine has there only Debian's own
    default rule (who is an administrator) is kept."""
    own, installed = (ACTIONS, RULES), ("/usr/share/polkit-1/actions", "/usr/share/polkit-1/rules.d")
    for source, target in zip(own, installed):
        if not os.path.isdir(target):
            raise CannotFurnish(f"{target} is missing: install the package polkitd")
        _directory(source)
    default = f"{installed[1]}/50-default.rules"
    if os.path.exists(default):
        shutil.copy(default, RULES)
    for source, target in zip(own, installed):
        _bind(source, target)
    for elsewhere in ("/usr/local/share/polkit-1/actions", "/usr/local/share/polkit-1/rules.d"):
        if os.path.isdir(elsewhere):
            _tmpfs(elsewhere)


def furnish():
    _private_run()
    # A new sysfs shows the devices of the new network namespace; the inherited one shows the machine's.
    _command("mount", "-t", "sysfs", "sysfs", "/sys")
    _private_dev()
    _private_etc()
    _private_polkit()
    _command("ip", "link", "set", "lo", "up")
