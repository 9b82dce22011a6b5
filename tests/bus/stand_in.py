#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Stands in for QEMU. It is started as QEMU would be, reports its arguments and its open descriptors as the kernel
describes them, and then obeys one order per line of its input, with one JSON answer each.
It ends with the end of its input, so it cannot outlive the test that started it."""

import fcntl
import json
import os
import stat
import struct
import sys

TUNSETIFF, TUNGETIFF = 0x400454CA, 0x800454D2
TUNSETPERSIST, TUNSETOWNER = 0x400454CB, 0x400454CC
SIOCGIFHWADDR = 0x8927


def tap_of(descriptor):
    """Name, flags and host side MAC of the tap that a descriptor belongs to; None if it is not a tap's."""
    try:
        answer = fcntl.ioctl(descriptor, TUNGETIFF, bytes(40))
        hardware = fcntl.ioctl(descriptor, SIOCGIFHWADDR, bytes(40))
    except OSError:
        return None
    return {"name": answer[:16].split(b"\0")[0].decode(), "flags": struct.unpack_from("H", answer, 16)[0],
            "mac": ":".join(f"{byte:02x}" for byte in hardware[18:24])}


def descriptors():
    """Every open descriptor but the three standard ones."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            facts = os.fstat(int(name))
        except OSError:
            continue  # the descriptor of this listing, closed by now
        if int(name) > 2:
            device = stat.S_ISCHR(facts.st_mode)
            found[int(name)] = {"tap": tap_of(int(name)), "device": [os.major(facts.st_rdev), os.minor(facts.st_rdev)]
                                if device else None, "target": os.readlink(f"/proc/self/fd/{name}")}
    return found


def attach(name, flags):
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), int(flags, 0)))
    return descriptor


def obey(words):
    verb, *rest = words
    if verb == "descriptors":
        return descriptors()
    if verb == "attach":
        return attach(*rest)
    if verb == "persist":
        return fcntl.ioctl(int(rest[0]), TUNSETPERSIST, int(rest[1]))
    if verb == "owner":
        return fcntl.ioctl(int(rest[0]), TUNSETOWNER, int(rest[1]))
    if verb == "close":
        return os.close(int(rest[0]))
    if verb == "flood":
        for _ in range(int(rest[2])):
            fcntl.ioctl(int(rest[0]), TUNSETOWNER, int(rest[1]))
        return None
    raise ValueError(verb)


def main():
    print(json.dumps({"argv": sys.argv[1:], "pid": os.getpid(), "uid": os.getuid(), "open": descriptors()}), flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "exit":
            return int(words[1])
        try:
            print(json.dumps({"done": obey(words)}), flush=True)
        except OSError as error:
            print(json.dumps({"errno": error.errno}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
