#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""probe.py NODE...: tries what a confined program must not be able to do, and prints the outcomes as JSON. Started in
place of the service in its unit, it shows what that unit enforces. Started outside the unit, it shows that the same
succeeds there; without that a refusal would prove nothing."""

import errno
import fcntl
import json
import os
import socket
import struct
import sys

TUNSETIFF, IFF_TAP_NO_PI = 0x400454CA, 0x1002  # linux/if_tun.h
WRITTEN = ("/tmp/rig-probe", "/etc/rig-probe", "/usr/rig-probe", "/var/rig-probe", "/root/rig-probe", "/home/rig-probe")
SETTING = "/proc/sys/net/ipv4/ip_forward"


def outcome(act):
    """Return None if the act succeeds, or the name of the kernel's error."""
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def open_node(node):
    os.close(os.open(node, os.O_WRONLY | os.O_NONBLOCK))


def make_tap():
    with open("/dev/net/tun", "r+b", buffering=0) as tun:
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"probe%d", IFF_TAP_NO_PI))


def write(path):
    with open(path, "w", encoding="ascii"):
        os.unlink(path)


def open_setting():
    with open(SETTING, "r+", encoding="ascii"):
        pass


def status(*names):
    with open("/proc/self/status", encoding="ascii") as file:
        words = dict(line.split(":", 1) for line in file)
    return {name: words[name].strip() for name in names}


def main():
    families = {name: getattr(socket, name) for name in ("AF_UNIX", "AF_NETLINK", "AF_INET", "AF_INET6", "AF_PACKET",
                                                         "AF_VSOCK")}
    print(json.dumps({
        "nodes": {node: outcome(lambda: open_node(node)) for node in sys.argv[1:]},
        "tap": outcome(make_tap),
        "families": {name: outcome(lambda: socket.socket(family, socket.SOCK_RAW if name == "AF_PACKET" else
                                                         socket.SOCK_DGRAM).close())
                     for name, family in families.items()},
        "written": {path: outcome(lambda: write(path)) for path in WRITTEN},
        "setting": outcome(open_setting),
        "status": status("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"),
        "network": os.readlink("/proc/self/ns/net"),
        "devices": sorted(os.listdir("/sys/class/net")),
    }))


if __name__ == "__main__":
    main()
