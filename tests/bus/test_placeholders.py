# SPDX-License-Identifier: MIT
"""`run` with placeholders: any program gets the names, addresses and descriptors that it asks for and no others. An
invalid placeholder is refused before anything is made."""

import re

from tests.bus.ring import MULTI_QUEUE, NO_LEASE, TAP_FLAGS, BusRing, kernel_cmdline, netmask
from tests.lib import kernel


class Filled(BusRing):
    def started(self, *command, options=()):
        holder = self.run_stand_in("alice", *options, command=command)
        (lease,) = self.leases("alice")
        return holder, lease

    def assert_descriptors(self, holder, tap, numbers):
        flags = TAP_FLAGS | (MULTI_QUEUE if tap["queues"] > 1 else 0)
        self.assertEqual(len(numbers), tap["queues"])
        for number in numbers:
            self.assertEqual(holder.open[number]["tap"],
                             {"name": tap["name"], "flags": flags, "mac": "fe" + tap["mac"][2:]})

    def test_all(self):
        """Every placeholder is filled with the lease's value, and no word is added."""
        names = ("tap", "mac", "gateway", "client", "prefix", "netmask", "queues", "virtqueues")
        command = [f"{name}={{{name}{number}}}" for number in (0, 1) for name in names]
        holder, lease = self.started(*command, "{lease},{count}", "{cmdline}", options=("--count", "2"))
        self.assert_grant(lease, "alice", [8, 9], hold="fd")
        expected = []
        for tap in lease["taps"]:
            values = (tap["name"], tap["mac"], tap["gateway"], tap["client"], tap["prefix_length"], netmask(tap), 1, 2)
            expected += [f"{name}={value}" for name, value in zip(names, values)]
        self.assertEqual(holder.argv, [*expected, f"{lease['lease']},2", kernel_cmdline(lease["taps"])])

    def test_descriptors(self):
        """{fdI} is the one descriptor of tap I, with IFF_VNET_HDR, which other programs than QEMU need too."""
        holder, lease = self.started("--net", "tap-fd={fd1}", "{fd0}", options=("--count", "2"))
        first, second = int(holder.argv[2]), int(holder.argv[1].removeprefix("tap-fd="))
        self.assertEqual(holder.argv, ["--net", f"tap-fd={second}", str(first)])
        self.assert_descriptors(holder, lease["taps"][0], [first])
        self.assert_descriptors(holder, lease["taps"][1], [second])
        self.assertEqual(sorted(holder.open), sorted([first, second]))

    def test_queues(self):
        """{fdsI} and {fdlistI} are all descriptors of tap I."""
        holder, lease = self.started("fd=[{fdlist0}]", "fds={fds1}", options=("--count", "2", "--queues", "3"))
        for position, (pattern, separator) in enumerate(((r"fd=\[(.*)\]", ","), (r"fds=(.*)", ":"))):
            numbers = re.fullmatch(pattern, holder.argv[position]).group(1).split(separator)
            self.assert_descriptors(holder, lease["taps"][position], [int(number) for number in numbers])
        self.assertEqual(len(holder.open), 6)

    def test_end(self):
        """The tap ends with the program, even if that only uses the tap's name."""
        holder, _ = self.started("{tap0}")
        self.assertEqual(holder.argv, ["tap8"])
        self.assertEqual(holder.end(3), 3)
        kernel.wait_for(kernel.absent("tap8"), "the tap ends with its program")
        self.host.no_trace()

    def test_text(self):
        """Doubled braces, JSON and ${name} are no placeholders, so QEMU's words are added as usual."""
        given = ['{"driver": {"name": "x"}}', "{{tap0}}", "${home}", "{}"]
        holder, lease = self.started(*given)
        self.assertEqual(holder.argv[:4], [given[0], "{tap0}", *given[2:]])
        self.assertEqual(holder.argv[4:7:2], ["-netdev", "-device"])
        self.assertIn(lease["taps"][0]["mac"], holder.argv[7])


class Refused(BusRing):
    def test_before_anything(self):
        """A placeholder that cannot be filled gives status 2 and is named, without a call to the service."""
        self.host.stop_daemon()
        for options, word, part in (((), "{tap1}", "{tap0}"), ((), "{nic0}", "{tap0}, {fd0}"), ((), "{mac}", "{mac0}"),
                                    (("--count", "2"), "{gateway2}", "{gateway0} to {gateway1}"),
                                    (("--queues", "2"), "{fd0}", "{fds0}"), ((), "{vhostfds0}", "--vhost yes"),
                                    ((), "awk {print}", "{{print}}")):
            with self.subTest(word=word):
                done = self.ctl("alice", "run", *options, "--", "true", f"a{word}b")
                self.assert_refused(done, 2, re.search(r"\{\w+\}", word).group(), part)
        self.host.no_trace()

    def test_program(self):
        """The program's own name is not a placeholder: it is searched unchanged."""
        self.assert_refused(self.ctl("alice", "run", "--", "{tap0}", "{tap0}"), 127, '"{tap0}"')
        self.assertEqual(self.leases("alice"), [])
        self.assert_refused(self.ctl("alice", "down", NO_LEASE), 8)

