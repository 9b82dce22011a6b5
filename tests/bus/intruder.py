#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A user's hostile program that root starts: it types into every terminal it finds and reports what it can read of
root's session.

    intruder.py REPORT KEY"""

import ctypes
import fcntl
import json
import os
import sys
import termios

from keys import READ, keyctl

TYPED = "injected\n"


def type_into(descriptor):
    try:
        for character in TYPED:
            fcntl.ioctl(descriptor, termios.TIOCSTI, character.encode())
        return True
    except OSError:
        return False


def terminals():
    """The terminal devices that the standard descriptors refer to."""
    return {number: os.fstat(number).st_rdev for number in (0, 1, 2) if os.isatty(number)}


def controlling_terminal():
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return None
    type_into(descriptor)
    return os.stat(os.ttyname(descriptor)).st_rdev


def read_key(key):
    text = ctypes.create_string_buffer(64)
    length = keyctl(READ, key, text, 64)
    return text.raw[:length].decode() if length >= 0 else None


def open_descriptors():
    found = {}
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2:
            try:
                found[number] = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                pass  # the descriptor of this listing, closed by now
    return found


def main():
    report, key = sys.argv[1:3]
    descriptors = open_descriptors()
    for number in (0, 1, 2):
        type_into(number)
    found = {"session": os.getsid(0), "pid": os.getpid(), "terminals": terminals(), "tty": controlling_terminal(),
             "environment": dict(os.environ), "key": read_key(int(key)), "open": descriptors}
    with open(report + ".new", "w", encoding="utf-8") as file:
        json.dump(found, file)
    os.rename(report + ".new", report)


if __name__ == "__main__":
    main()
