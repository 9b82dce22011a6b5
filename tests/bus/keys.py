#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The kernel's keys by system call, because not every host has keyctl(1). Run as a program it plays a root session
with secrets: it puts a key into a session keyring of its own, opens a descriptor and executes the command, in which the
word KEY is replaced by the key's number.

    keys.py COMMAND ARG..."""

import ctypes
import os
import platform
import sys

ADD_KEY, KEYCTL = {"x86_64": (248, 250), "aarch64": (217, 219)}[platform.machine()]
JOIN_SESSION_KEYRING, READ = 1, 11
SESSION_KEYRING = -3
SECRET = "a secret of root's"
DESCRIPTOR = 100

_libc = ctypes.CDLL(None, use_errno=True)


def keyctl(*arguments):
    return _libc.syscall(KEYCTL, *arguments)


def add_key(name, text):
    key = _libc.syscall(ADD_KEY, b"user", name.encode(), text.encode(), len(text), SESSION_KEYRING)
    if key < 0:
        raise OSError(ctypes.get_errno(), "add_key")
    return key


def main():
    if keyctl(JOIN_SESSION_KEYRING, None) < 0:
        raise OSError(ctypes.get_errno(), "keyctl")
    key = add_key("root's", SECRET)
    os.dup2(os.open("/etc/shadow", os.O_RDONLY), DESCRIPTOR, inheritable=True)
    words = [str(key) if word == "KEY" else word for word in sys.argv[1:]]
    os.execvp(words[0], words)


if __name__ == "__main__":
    main()
