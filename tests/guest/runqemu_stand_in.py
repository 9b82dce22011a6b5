#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Plays Yocto's runqemu on machines without a copy of that script. It takes the arguments that the tests use: the path
of a .qemuboot.conf, nographic, qemuparams= and bootparams=. As runqemu's documentation says, it takes the first device
of `ip link` that is named $OE_TAP_NAME and a number, that has no .skip file, and whose .lock file it can lock. It
derives the guest's addresses and MAC from that number, starts QEMU, and ends QEMU when it receives SIGTERM."""

import configparser
import fcntl
import os
import re
import shlex
import signal
import subprocess
import sys

LOCKS = "/tmp/qemu-tap-locks"


def choose_tap(prefix):
    """Return the device's name, its number, and the lock that reserves it."""
    shown = subprocess.run(["ip", "link"], stdout=subprocess.PIPE, text=True, check=True).stdout
    for name, number in re.findall(rf"^\d+: +({re.escape(prefix)}(\d+)): <", shown, re.MULTILINE):
        if os.path.exists(f"{LOCKS}/{name}.skip"):
            continue
        lock = os.open(f"{LOCKS}/{name}.lock", os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return name, int(number), lock
        except BlockingIOError:
            os.close(lock)
    sys.exit("runqemu: there is no tap, and sudo would be asked to make one")


def read_arguments():
    values, settings = {"qemuparams": "", "bootparams": ""}, None
    for argument in sys.argv[1:]:
        key, _, value = argument.partition("=")
        if key in values:
            values[key] = value
        elif argument.endswith(".qemuboot.conf"):
            parser = configparser.ConfigParser()
            parser.read(argument)
            settings = parser["config_bsp"]
            folder = os.path.dirname(argument)
        elif argument != "nographic":
            sys.exit(f"runqemu: unknown argument {argument!r}")
    return settings, folder, values


def main():
    settings, folder, values = read_arguments()
    name, number, lock = choose_tap(os.environ.get("OE_TAP_NAME", "tap"))
    gateway, client = 2 * number + 1, 2 * number + 2
    network = settings["qb_network_device"].replace("@MAC@", f"52:54:00:12:34:{client:02x}")
    addresses = f"ip=192.168.7.{client}::192.168.7.{gateway}:255.255.255.0::eth0:off:8.8.8.8"
    cmdline = " ".join(["root=/dev/ram0 rw", addresses, settings["qb_kernel_cmdline_append"], values["bootparams"]])
    command = [settings["qb_system_name"], *shlex.split(network), "-netdev",
               f"tap,id=net0,ifname={name},script=no,downscript=no", *shlex.split(settings["qb_opt_append"]),
               *shlex.split(settings["qb_machine"]), *shlex.split(settings["qb_mem"]),
               *shlex.split(values["qemuparams"]), "-nographic", "-serial", "mon:stdio",
               "-initrd", f"{folder}/{settings['image_link_name']}.cpio.gz",
               "-kernel", f"{folder}/{settings['qb_default_kernel']}", "-append", cmdline]
    qemu = subprocess.Popen(command, pass_fds=[lock])
    signal.signal(signal.SIGTERM, lambda *_: qemu.terminate())
    return qemu.wait() and 1


if __name__ == "__main__":
    sys.exit(main())
