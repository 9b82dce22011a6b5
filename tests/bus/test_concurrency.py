# SPDX-License-Identifier: MIT
"""Many callers at once (I2, I8): no tap, name or address is given twice, limits hold, and nothing is left behind."""

import ipaddress
import json
import random
import subprocess
import threading

from tests.bus.ring import BusRing
from tests.lib import kernel

FOUR = ("alice", "bob", "carol", "dave")
UP_AND_DOWN = r"""
for round in 1 2 3 4; do
    grant=$(qemu-tapctl up --count 2 --json)
    qemu-tapctl down "$(printf %s "$grant" | tr -d '\n ' | sed 's/.*"lease":"\([0-9a-f]*\)".*/\1/')"
done
"""


class Concurrency(BusRing):
    members = FOUR

    def all_at_once(self, commands):
        """Starts all (user, arguments...) before waiting for any; returns (user, status, out, err) of each."""
        started = [(user, self.host.ctl_start(user, *arguments)) for user, *arguments in commands]
        ended = []
        for user, popen in started:
            self.addCleanup(self._end, popen)
            out, err = popen.communicate()
            ended.append((user, popen.returncode, out.decode(), err.decode()))
        return ended

    def assert_distinct(self, taps, count):
        for key in ("name", "index", "gateway", "client", "mac"):
            self.assertEqual(len({tap[key] for tap in taps}), count, f"not distinct: {key}")
        networks = {ipaddress.ip_interface(f"{tap['gateway']}/{tap['prefix_length']}").network for tap in taps}
        self.assertEqual(len(networks), count, "not distinct: subnet")

    def test_32_clients(self):
        """32 clients of four users run `up --count 2`: 64 distinct taps; after their release nothing is left (I2)."""
        ended = self.all_at_once((FOUR[number % 4], "up", "--count", "2", "--json") for number in range(32))
        self.assertEqual([entry for entry in ended if entry[1] != 0 or entry[3]], [])
        grants = [(user, json.loads(out)) for user, _, out, _ in ended]
        taps = [tap for _, grant in grants for tap in grant["taps"]]
        self.assertEqual(len(taps), 64)
        self.assert_distinct(taps, 64)
        self.assertEqual(sorted(kernel.ours()), sorted(f"tap{index}" for index in range(8, 72)))
        for user, grant in grants:
            self.assert_grant(grant, user, [tap["index"] for tap in grant["taps"]])
        for user in FOUR:
            mine = sorted((grant for owner, grant in grants if owner == user),
                          key=lambda grant: grant["taps"][0]["index"])
            self.assertEqual(self.leases(user), mine)
        ended = self.all_at_once((user, "down", grant["lease"]) for user, grant in grants)
        self.assertEqual([entry[1:] for entry in ended], [(0, "", "")] * 32)
        self.host.no_trace()

    def test_limit_per_user(self):
        """20 clients of one user ask for 40 taps and get 32: 16 succeed, 4 get the limit's error (I8)."""
        ended = self.all_at_once([("alice", "up", "--count", "2", "--json")] * 20)
        self.assertEqual(sorted(entry[1] for entry in ended), [0] * 16 + [6] * 4)
        self.assertEqual(len(kernel.ours()), 32)
        self.assertEqual(len(self.up("bob", "--count", "32")["taps"]), 32)

    def test_same_label(self):
        """Clients of one user that use one label at the same time get different leases without overlap (I2)."""
        ended = self.all_at_once([("alice", "up", "--count", "2", "--label", "same", "--json")] * 8)
        self.assertEqual([entry for entry in ended if entry[1] != 0], [])
        taps = [tap for entry in ended for tap in json.loads(entry[2])["taps"]]
        self.assert_distinct(taps, 16)

    def test_up_and_down(self):
        """Leases acquired and released in parallel share nothing, and only the leases still held remain (I2)."""
        loops = [self.host.start(user, "sh", "-ec", UP_AND_DOWN) for user in FOUR for _ in range(2)]
        held = [self.up("alice") for _ in range(4)]
        for loop in loops:
            _, err = loop.communicate()
            self.assertEqual((loop.returncode, err), (0, b""))
        self.assert_distinct([grant["taps"][0] for grant in held], 4)
        self.assertEqual(sorted(kernel.ours()), sorted(grant["taps"][0]["name"] for grant in held))
        self.ok("alice", "down", "--all")
        self.host.no_trace()

    def test_against_others(self):
        """Names that another program takes and drops all the time are never given twice or taken from it (I2, I3)."""
        stop, broken = threading.Event(), []

        def disturb():
            while not stop.is_set():
                name = f"tap{random.randint(8, 25)}"
                if subprocess.run(["ip", "tuntap", "add", name, "mode", "tap"], stderr=subprocess.DEVNULL,
                                  check=False).returncode:
                    continue
                if kernel.link(name) is None or "ifalias" in kernel.link(name):
                    broken.append(name)
                kernel.ip("link", "delete", name)

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            for _ in range(3):
                ended = self.all_at_once([(user, "up", "--count", "2", "--json") for user in FOUR])
                self.assertEqual([entry for entry in ended if entry[1] != 0], [])
                taps = [tap for entry in ended for tap in json.loads(entry[2])["taps"]]
                self.assert_distinct(taps, 8)
                self.ok("root", "down", *{json.loads(entry[2])["lease"] for entry in ended})
        finally:
            stop.set()
            thread.join()
        self.assertEqual(broken, [])
        self.host.no_trace()
