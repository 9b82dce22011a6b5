#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""runqemu_choice.py [SCRIPTS]: chooses taps as Yocto's runqemu does and keeps its choice, as that script would while
its QEMU runs. With SCRIPTS, the folder `scripts` of openembedded-core, the script's own code chooses. Without it, this
file's code chooses by the script's documented rule: the first device named tap and a number, in the order of
`ip link`, that has no .skip file and whose .lock file it can lock.

It reads one order per line from stdin and writes one JSON value per line to stdout: `choose` (a name, or null where the
script would use sudo to make a device), `lock NAME` (whether the device could be locked), `leave NAME` (null).
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
    """Returns the open lock file, or None if it cannot be opened or another process has locked it."""
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
    """Chooses by the script's own code. Where that finds no tap it calls sudo, which is not on its PATH here."""
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
