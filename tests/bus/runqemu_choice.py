#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""runqemu_choice.py [SCRIPTS]: chooses taps as Yocto's runqemu does and keeps what it chose, as that script would while
its QEMU runs. With SCRIPTS, openembedded-core's folder of that name, the script's own code chooses; without, what
is written here after its description: the first device named tap and a number, in the order of `ip link`, that has
no .skip file and whose .lock file it can lock.

One order a line on stdin, one JSON value a line on stdout: `choose` (a name, or null where it would ask sudo for a new
device), `lock NAME` (of a device that was made for it; whether it could), `leave NAME` (null).
"""

import fcntl
import importlib.machinery
import importlib.util
import json
import os
import re
import subprocess
import sys

LOCKS = "/tmp/qemu-tap-locks"


def lock(name):
    """The open lock file; None if it is another's, or can't be opened."""
    file = None
    try:
        file = open(f"{LOCKS}/{name}.lock", "w", encoding="ascii")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file
    except OSError:
        if file:
            file.close()
        return None


def choose():
    if not os.path.isdir(LOCKS):
        os.mkdir(LOCKS)
        os.chmod(LOCKS, 0o777)
    shown = subprocess.run(["ip", "link"], stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in re.findall(r"^\d+: +(tap\d+): <", shown, re.MULTILINE):
        if os.path.exists(f"{LOCKS}/{name}.skip"):
            continue
        file = lock(name)
        if file:
            return name, file
    return None, None


def choose_by(scripts):
    """The same by the script itself. Where it finds nothing it calls sudo, which is not on its PATH here."""
    loader = importlib.machinery.SourceFileLoader("runqemu", f"{scripts}/runqemu")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("runqemu", loader))
    loader.exec_module(module)

    def choose_once():
        chooser = module.BaseConfig()
        chooser.set("STAGING_BINDIR_NATIVE", "/")
        try:
            chooser.setup_tap()
        except FileNotFoundError as missing:
            if missing.filename != "sudo":
                raise
            return None, None
        return chooser.tap, chooser.taplock_descriptor
    return choose_once


def main():
    chooser = choose_by(sys.argv[1]) if sys.argv[1:] else choose
    kept = {}
    for line in sys.stdin:
        order, *names = line.split()
        answer = None
        if order == "choose":
            answer, file = chooser()
            if answer:
                kept[answer] = file
        elif order == "lock":
            file = lock(names[0])
            answer = file is not None
            if file:
                kept[names[0]] = file
        elif order == "leave":
            kept.pop(names[0]).close()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
