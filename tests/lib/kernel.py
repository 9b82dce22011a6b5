# SPDX-License-Identifier: MIT
"""What the kernel says: links, addresses and routes by `ip -j`, and waiting for them to change by listening to
the kernel's own announcements. The daemon is never asked about itself when the kernel can be."""

import ipaddress
import json
import select
import socket
import subprocess
import time

from tests.lib.process import HANGS

# How the tags begin that the daemon writes, and those that an earlier daemon wrote.
ALIAS = "qemu-tap2 "
ALIASES = ("qemu-tap1 ", ALIAS)
# The keys of a tag of version 2, and the same ones of version 1.
KEYS = {"i": "lease", "t": "tap", "x": "index", "r": "runqemu", "d": "ifindex", "u": "uid", "h": "hold", "m": "mac",
        "q": "queues", "v": "vhost", "s": "idle", "a": "attended", "b": "born", "l": "label"}
GROUP = 0x71746170
POOL = ipaddress.ip_network("192.168.0.0/16")
# Seconds: a condition may also depend on what the kernel does not announce.
LOOK_AGAIN = 0.5
# RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR and RTNLGRP_IPV4_ROUTE of linux/rtnetlink.h, as the bits bind() takes.
ANNOUNCEMENTS = 1 << 0 | 1 << 4 | 1 << 6


def ip(*arguments):
    """Runs ip; what it refuses is a broken test, so it raises."""
    done = subprocess.run(["ip", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _json(*arguments):
    return json.loads(ip("-j", *arguments) or "[]")


def links():
    """Every link by name, with details."""
    return {link["ifname"]: link for link in _json("-d", "link", "show") if link}


def link(name):
    return links().get(name)


def ours():
    """The links that carry our alias, by name."""
    return {name: facts for name, facts in links().items() if facts.get("ifalias", "").startswith(ALIASES)}


def alias_in(facts):
    """The tag of a link as a dict with version 1's keys, whichever version it has; empty without one. `facts` is a link
    as `links` gives it. No value holds a space."""
    words = (word.split("=", 1) for word in facts.get("ifalias", "").split(" ")[1:])
    return {KEYS.get(key, key): value for key, value in words}


def alias_words(name):
    """The same, of the link with that name."""
    return alias_in(links()[name])


def tap_owner(name):
    """The uid or user name that `ip` shows as the owner of a tap, None if it has none."""
    return links()[name]["linkinfo"]["info_data"].get("user")


def addresses():
    """(device, address/length) of every IPv4 address."""
    return sorted((link["ifname"], f"{entry['local']}/{entry['prefixlen']}")
                  for link in _json("-4", "addr", "show") if link for entry in link.get("addr_info", []))


def addresses_of(name):
    return [address for device, address in addresses() if device == name]


def routes():
    """Every IPv4 route of every table, as `ip` tells it, without the flags that follow a carrier."""
    found = []
    for route in _json("-4", "route", "show", "table", "all"):
        route = {key: value for key, value in route.items() if key != "flags"}
        found.append(json.dumps(route, sort_keys=True))
    return sorted(found)


def snapshot():
    """What must be the same again when a test is over."""
    return {"links": sorted((facts["ifindex"], name, facts.get("ifalias", "")) for name, facts in links().items()),
            "addresses": addresses(), "routes": routes()}


def differences(before, after):
    """The two snapshots' differences as readable lines; empty when there are none."""
    lines = []
    for kind in before:
        lines += [f"left behind: {kind[:-1]} {entry}" for entry in after[kind] if entry not in before[kind]]
        lines += [f"gone: {kind[:-1]} {entry}" for entry in before[kind] if entry not in after[kind]]
    return lines


class Announcements:
    """The kernel's announcements of changed links, addresses and routes. Opened before the condition is looked at
    for the first time, so no change can fall between looking and waiting."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.bind((0, ANNOUNCEMENTS))
        self.socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def wait(self, seconds):
        """Returns at the next announcement, having taken all there are, or after `seconds`."""
        select.select([self.socket], [], [], max(0, seconds))
        try:
            while self.socket.recv(65536):
                pass
        except BlockingIOError:
            pass
        except OSError:
            # ENOBUFS: some were lost; the condition is about to be looked at anew, which is the remedy.
            pass


def seconds_until(condition, limit=HANGS):
    """How long it took until `condition()` was true, or None if it was not within `limit` seconds."""
    start = time.monotonic()
    with Announcements() as announcements:
        while True:
            if condition():
                return time.monotonic() - start
            left = start + limit - time.monotonic()
            if left <= 0:
                return None
            announcements.wait(min(left, LOOK_AGAIN))


def wait_for(condition, what, limit=HANGS):
    """Waits until `condition()` is true, looking again whenever the kernel announces a change."""
    if seconds_until(condition, limit) is None:
        raise AssertionError(f"not within {limit} s: {what}; links now: {sorted(links())}")


def stays(condition, seconds, what):
    """For the few statements that are about nothing happening."""
    if seconds_until(lambda: not condition(), seconds) is not None:
        raise AssertionError(f"did not last {seconds} s: {what}")


def exists(name):
    """Asked of the kernel's table of names: a device's folder in /sys goes only after its end has been announced, and
    no further announcement would make anybody look again."""
    try:
        return socket.if_nametoindex(name) > 0
    except OSError:
        return False


def present(*names):
    """A condition: these devices exist."""
    return lambda: all(map(exists, names))


def absent(*names):
    """A condition: none of these devices exists."""
    return lambda: not any(map(exists, names))
