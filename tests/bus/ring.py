# SPDX-License-Identifier: MIT
"""Shared by the bus ring: one bus and one polkitd with a fresh daemon for each test, the client's results as values,
and the exact grant that a set of indexes must give."""

import ipaddress
import json
import os
import re
import subprocess
import unittest

from tests.lib import furnish, kernel, users
from tests.lib.bus import CALL
from tests.lib.host import Host

HERE = os.path.dirname(os.path.abspath(__file__))
MANAGER = ("org.qemutap1", "/org/qemutap1", "org.qemutap1.Manager")
# The ids of the netdevs that `run` and `runqemu` add are this and a number; those of `up` are net0, net1, ...
ADDED = "tapctl"
# From linux/if_tun.h: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, IFF_VNET_HDR alone, IFF_MULTI_QUEUE and IFF_PERSIST.
TAP_FLAGS, VNET_HDR, MULTI_QUEUE, PERSIST = 0x5002, 0x4000, 0x0100, 0x0800
NO_LEASE, OTHER_LEASE = "0123456789abcdef", "fedcba9876543210"

_shared = []


def shared_host():
    """One host per process: most tests do not change the bus and polkitd."""
    if not _shared:
        _shared.append(Host())
    return _shared[0]


def error_name(word):
    return f"org.qemutap1.Error.{word}"


def tag(name, version=2):
    """Gives a device the valid alias of the first of two taps, as if the second had never been made."""
    device, uid = kernel.link(name)["ifindex"], users.USERS["alice"]
    texts = {1: f"qemu-tap1 lease={OTHER_LEASE} tap=0/2 index=40 ifindex={device} uid={uid} hold=name "
                "mac=52:54:00:01:00:28 queues=1 vhost=0 idle=0 label=",
             2: f"qemu-tap2 i={OTHER_LEASE} t=0/2 x=40 d={device} u={uid} h=n m=525400010028 q=1 b=1"}
    kernel.ip("link", "set", name, "alias", texts[version])


def tag_as_version_1(name):
    """Gives a tap of a lease the alias that daemons before version 2 wrote."""
    words = kernel.alias_words(name)
    mac = ":".join(re.findall("..", words["mac"]))
    index = "runqemu" if "runqemu" in words else "index"
    attended = f"attended={words['attended']} " if "attended" in words else ""
    kernel.ip("link", "set", name, "alias",
              f"qemu-tap1 lease={words['lease']} tap={words['tap']} {index}={words[index]} ifindex={words['ifindex']} "
              f"uid={words['uid']} hold={'fd' if words['hold'] == 'f' else 'name'} mac={mac} queues={words['queues']} "
              f"vhost={words.get('vhost', 0)} idle={words.get('idle', 0)} {attended}label={words.get('label', '')}")


def half_made_lease(name, version=2):
    """The worst remainder of a crash: a complete tap whose siblings were never made."""
    kernel.ip("tuntap", "add", name, "mode", "tap", "user", "alice")
    tag(name, version)
    kernel.ip("link", "set", name, "up", "group", str(kernel.GROUP))


class StandIn:
    """A running stand-in for QEMU that takes orders line by line."""

    def __init__(self, popen):
        self.popen = popen
        line = popen.stdout.readline()
        if not line:
            popen.wait()
            raise AssertionError(f"the stand-in did not start: {popen.returncode}, {popen.stderr.read()!r}")
        self.report = json.loads(line)
        self.argv = self.report["argv"]
        self.open = {int(number): facts for number, facts in self.report["open"].items()}

    def tell(self, *words):
        """Sends one order; returns its result or raises the OSError that the stand-in met."""
        self.popen.stdin.write(" ".join(map(str, words)).encode() + b"\n")
        self.popen.stdin.flush()
        answer = json.loads(self.popen.stdout.readline())
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        return answer["done"]

    def end(self, status=0):
        """Makes the stand-in end by itself; returns its exit status."""
        self.popen.stdin.write(f"exit {status}\n".encode())
        self.popen.stdin.close()
        return self.popen.wait()

    def kill(self):
        self.popen.kill()
        return self.popen.wait()

    def fds(self, netdev):
        """The descriptor numbers in the netdev's fds= option."""
        option = [word for word in self.argv[self.argv.index("-netdev") :] if word.startswith(f"tap,id={ADDED}{netdev},")]
        return [int(number) for number in re.search(r"\bfds=([0-9:]+)", option[0]).group(1).split(":")]


class BusRing(unittest.TestCase):
    """Each test has a freshly started daemon and a host without taps."""

    options = ()
    members = ("alice", "bob", "carol")
    extra_rules = None
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.host = shared_host()
        cls.host.programs()
        if cls.host.polkit:
            cls.host.stop_polkit()

    def setUp(self):
        host = self.host
        users.set_members(*self.members)
        host.sweep()
        furnish.place_tun()
        if not (host.bus and host.bus.alive()):
            host.close()
            host.start_bus()
        if not (host.polkit and host.polkit.alive()):
            host.start_polkit(self.extra_rules)
        self.log = f"{furnish.RIG}/daemon.log"
        open(self.log, "wb").close()
        self.addCleanup(self.clear)
        if self.options is not None:
            host.start_daemon(*self.options)

    def clear(self):
        if self.host.polkit:
            self.host.polkit.thaw()
        self.host.stop_daemon()
        self.host.sweep()

    def evidence(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return f"the daemon's log:\n{file.read()}"

    # Programs

    def ctl(self, user, *arguments, **options):
        return self.host.ctl(user, *arguments, **options)

    def ok(self, user, *arguments):
        """Runs the client, which must succeed and write nothing to stderr; returns its stdout."""
        done = self.ctl(user, *arguments)
        self.assertEqual((done.status, done.err), (0, ""), f"qemu-tapctl {' '.join(map(str, arguments))}: {done}")
        return done.out

    def up(self, user, *arguments):
        return json.loads(self.ok(user, "up", "--json", *arguments))

    def leases(self, user, *arguments):
        return json.loads(self.ok(user, "list", "--json", *arguments))

    def run_stand_in(self, user, *options, command=(), alone=False):
        """Runs a stand-in for QEMU under `qemu-tapctl run`; with `alone`, without qemu-tapctl."""
        program = self.host.share(f"{HERE}/stand_in.py")
        start = self.host.start if alone else self.host.ctl_start
        argv = [program, *command] if alone else ["run", *options, "--", program, *command]
        popen = start(user, *argv, stdin=subprocess.PIPE)
        self.addCleanup(self._end, popen)
        return StandIn(popen)

    @staticmethod
    def _end(popen):
        popen.kill()
        popen.wait()
        for pipe in (popen.stdin, popen.stdout, popen.stderr):
            if pipe:
                pipe.close()

    def call(self, bus, member, signature="", *arguments):
        return bus.call(*MANAGER[:2], f"{MANAGER[2]}.{member}", signature, *arguments)

    def send(self, bus, member, signature="", *arguments):
        return bus.send(*MANAGER[:2], f"{MANAGER[2]}.{member}", signature, *arguments)

    def heard(self, act, rule):
        """The calls on the bus that match the rule while `act` runs."""
        with self.host.connect() as ear, self.host.connect() as marker:
            ear.watch(rule, "type='method_call',member='GetId'")
            act()
            marker.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.GetId")
            messages = []
            while True:
                message = ear.next()
                if message.kind == CALL and message.member.endswith(".GetId"):
                    return messages
                if message.kind == CALL:
                    messages.append(message)

    # Assertions

    def assert_refused(self, done, status, *words):
        """Expects the documented status, nothing on stdout, and one readable line on stderr that holds these words."""
        self.assertEqual(done.status, status, done)
        self.assertEqual(done.out, "", done)
        self.assertRegex(done.err, r"\Aqemu-tapctl: [^\n]+\n\Z", done)
        self.assertTrue(done.err.rstrip("\n").isprintable(), f"control characters or broken text in {done.err!r}")
        self.assertLess(len(done.err), 1000, "the error line is too long to read")
        for word in words:
            self.assertIn(word, done.err)

    def machine_byte(self, grant):
        """The byte of a MAC that depends on this machine and not on the index."""
        self.assertRegex(grant["taps"][0]["mac"], r"\A52:54:00:[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}\Z")
        return grant["taps"][0]["mac"][9:11]

    def expected_taps(self, grant, indexes, queues=1, vhost=False, prefix="tap", length=24):
        byte, subnets = self.machine_byte(grant), kernel.POOL
        taps = []
        for index in indexes:
            base = subnets.network_address + index * 2 ** (32 - length)
            taps.append({"name": f"{prefix}{index}", "index": index, "gateway": str(base + 1),
                         "client": str(base + 2), "guest": str(base + 2), "prefix_length": length,
                         "queues": queues, "vhost": vhost, "mac": f"52:54:00:{byte}:{index >> 8:02x}:{index & 255:02x}"})
        return taps

    def assert_grant(self, grant, user, indexes, label="", hold="name", idle_timeout=0, qemu_args=None, **settings):
        """Checks every key of a grant, and each of its taps in the kernel."""
        self.assertRegex(grant["lease"], r"\A[0-9a-f]{16}\Z")
        taps = self.expected_taps(grant, indexes, **settings)
        if qemu_args is None:
            qemu_args = name_arguments(taps) if hold == "name" else []
        expected = {"lease": grant["lease"], "label": label, "uid": users.USERS.get(user, 0), "hold": hold,
                    "idle_timeout": idle_timeout, "attended": False, "taps": taps, "qemu_args": qemu_args,
                    "kernel_cmdline": kernel_cmdline(taps)}
        self.assertEqual(grant, expected)
        for tap in taps:
            self.assert_device(tap, user)

    def assert_device(self, tap, user):
        """Checks that the device is up (I5), owned (I4), tagged, in the fixed group, and has its address and MAC."""
        link = kernel.link(tap["name"])
        self.assertIsNotNone(link, f"no device {tap['name']}")
        self.assertIn("UP", link["flags"])
        self.assertEqual(link["linkinfo"]["info_kind"], "tun")
        self.assertEqual(link["linkinfo"]["info_data"]["type"], "tap")
        self.assertEqual(str(kernel.tap_owner(tap["name"])), user)
        self.assertNotIn("group", link["linkinfo"]["info_data"])
        self.assertEqual(link["group"], str(kernel.GROUP))
        self.assertEqual(link["address"], "fe" + tap["mac"][2:])
        self.assertEqual(kernel.addresses_of(tap["name"]), [f"{tap['gateway']}/{tap['prefix_length']}"])
        self.assertTrue(link["ifalias"].startswith(kernel.ALIAS), link["ifalias"])


def netmask(tap):
    return str(ipaddress.ip_network(f"0.0.0.0/{tap['prefix_length']}").netmask)


def kernel_cmdline(taps):
    """ip= words: secondary NICs first, without a gateway; then the primary NIC with every field."""
    words = [f"ip={tap['client']}:::{netmask(tap)}::eth{number}:off" for number, tap in enumerate(taps) if number]
    first = taps[0]
    words.append(f"ip={first['client']}::{first['gateway']}:{netmask(first)}::eth0:off")
    return " ".join([*words, "net.ifnames=0"])


def device_arguments(number, tap, model="virtio-net-pci", netdev="net"):
    queues = tap["queues"]
    several = f",mq=on,vectors={2 * queues + 2}" if queues > 1 and model.startswith("virtio-net-pci") else ""
    return ["-device", f"{model},netdev={netdev}{number},mac={tap['mac']}{several}"]


def name_arguments(taps, model="virtio-net-pci", netdev="net"):
    """The arguments for taps that QEMU opens by name."""
    words = []
    for number, tap in enumerate(taps):
        several = f",queues={tap['queues']}" if tap["queues"] > 1 else ""
        words += ["-netdev", f"tap,id={netdev}{number},ifname={tap['name']},script=no,downscript=no{several}",
                  *device_arguments(number, tap, model, netdev)]
    return words
