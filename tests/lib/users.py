# SPDX-License-Identifier: MIT
"""The users of the scratch host. Tests are about who may do what, so they need users that exist nowhere else,
and a group whose members a test can change while daemons run."""

import os
import subprocess

USERS = {"alice": 64101, "bob": 64102, "carol": 64103, "dave": 64104}
# The service's own, without a home.
SERVICE, SERVICE_ID = "qemu-tapd", 64105
# Its members open /dev/vhost-net; the service is one.
KVM, KVM_ID = "kvm", 64106
GROUP = "qemu-tap"
GROUP_ID = 64100
HOMES = "/run/rig/home"
# Whom polkit lets authorise others, and who is so by Debian's default rule.
ADMINISTRATOR = "carol"
ADMINISTRATORS = "sudo"
PASSWORD = "open sesame"
# Of this password as crypt(5) has it: Python has lost the means to make one.
PASSWORD_HASH = "$6$scratchhost$ZUNAOZX8W.iCcAWFmpnw9dGUG3dsT9fAWpi4M6dsHOdkyOexok9hVRvlBoZVXsYeFgruK/" \
                "incMAQ8Xoqhjq0H1"


def _lines_without(path, names, ids):
    """Lines of a passwd-like file except those that would collide with ours."""
    kept = []
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        for line in file.read().splitlines():
            fields = line.split(":")
            if fields[0] not in names and not (len(fields) > 2 and fields[2] in ids):
                kept.append(line)
    return kept


def _write(path, lines, mode=0o644):
    """Replaced in one step: polkitd and dbus-daemon may be reading."""
    draft = path + ".draft"
    with open(draft, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write("\n".join(lines) + "\n")
    os.chmod(draft, mode)
    os.rename(draft, path)


def add_users(passwd="/etc/passwd", group="/etc/group"):
    """Only ever called on the private copy of /etc."""
    ids = {str(uid) for uid in (*USERS.values(), SERVICE_ID)}
    people = _lines_without(passwd, {*USERS, SERVICE}, ids)
    groups = _lines_without(group, {*USERS, SERVICE, KVM, GROUP}, ids | {str(GROUP_ID), str(KVM_ID)})
    for name, uid in USERS.items():
        people.append(f"{name}:x:{uid}:{uid}:{name} of the scratch host:{HOMES}/{name}:/bin/sh")
        groups.append(f"{name}:x:{uid}:")
        home = f"{HOMES}/{name}"
        os.makedirs(home, exist_ok=True)
        os.chown(home, uid, uid)
    people.append(f"{SERVICE}:x:{SERVICE_ID}:{SERVICE_ID}:{SERVICE} of the scratch host:/nonexistent:/usr/sbin/nologin")
    groups.append(f"{SERVICE}:x:{SERVICE_ID}:")
    groups.append(f"{KVM}:x:{KVM_ID}:{SERVICE}")
    groups.append(f"{GROUP}:x:{GROUP_ID}:")
    _write(passwd, people)
    _write(group, groups)


def take_service_away(passwd="/etc/passwd"):
    """The host has no account of the service; add_users() brings it back."""
    _write(passwd, _lines_without(passwd, {SERVICE}, set()))


def set_members(*names, group="/etc/group"):
    """Makes the members of group qemu-tap exactly these."""
    others = _lines_without(group, {GROUP}, set())
    _write(group, [*others, f"{GROUP}:x:{GROUP_ID}:{','.join(names)}"])


def set_vhost_members(*names, group="/etc/group"):
    """Makes the members of group kvm exactly these and the service."""
    others = _lines_without(group, {KVM}, {str(KVM_ID)})
    _write(group, [*others, f"{KVM}:x:{KVM_ID}:{','.join([SERVICE, *names])}"])


def make_administrator(group="/etc/group", shadow="/etc/shadow"):
    """The scratch host has one administrator, with a password, and nobody of the machine is one."""
    others = _lines_without(group, {ADMINISTRATORS}, set())
    _write(group, [*others, f"{ADMINISTRATORS}:x:27:{ADMINISTRATOR}"])
    others = _lines_without(shadow, {ADMINISTRATOR}, set())
    _write(shadow, [*others, f"{ADMINISTRATOR}:{PASSWORD_HASH}:19000:0:99999:7:::"], mode=0o600)


def add_libvirts_user():
    """Whom libvirt's packages make, for QEMU to run as: those of Debian 12 with its units, which nobody needs here."""
    subprocess.run(["groupadd", "--force", "--system", "kvm"], check=True)
    if subprocess.run(["getent", "passwd", "libvirt-qemu"], stdout=subprocess.DEVNULL, check=False).returncode:
        subprocess.run(["useradd", "--system", "--user-group", "--groups", "kvm", "libvirt-qemu"], check=True)
