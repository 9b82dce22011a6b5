# SPDX-License-Identifier: MIT
"""What `up` grants: the exact JSON, the kernel's devices, and which index is given when."""

import json
import os
import shlex
import time

from tests.bus.ring import BusRing, device_arguments, name_arguments
from tests.lib import kernel
from tests.lib.host import Done
from tests.lib.wire import Variant


class Grants(BusRing):
    def test_two_taps(self):
        """`up --count 2 --json` prints the whole grant and nothing else, and both devices are as promised (I4, I5)."""
        grant = self.up("alice", "--count", "2")
        self.assert_grant(grant, "alice", [8, 9])
        first, second = (tap["mac"] for tap in grant["taps"])
        self.assertEqual(grant["qemu_args"], [
            "-netdev", "tap,id=net0,ifname=tap8,script=no,downscript=no", "-device",
            f"virtio-net-pci,netdev=net0,mac={first}",
            "-netdev", "tap,id=net1,ifname=tap9,script=no,downscript=no", "-device",
            f"virtio-net-pci,netdev=net1,mac={second}"])
        self.assertEqual(grant["kernel_cmdline"],
                         "ip=192.168.9.2:::255.255.255.0::eth1:off "
                         "ip=192.168.8.2::192.168.8.1:255.255.255.0::eth0:off net.ifnames=0")

    def test_alias(self):
        """The alias of each tap holds every fact of the lease that no other kernel field holds, in a fixed order."""
        before = int(time.clock_gettime(time.CLOCK_BOOTTIME))
        grant = self.up("alice", "--count", "2", "--label", "web:1", "--idle-timeout", "600")
        for position, tap in enumerate(grant["taps"]):
            link = kernel.link(tap["name"])
            born = kernel.alias_in(link)["born"]
            self.assertEqual(link["ifalias"],
                             f"qemu-tap2 i={grant['lease']} t={position}/2 x={tap['index']} d={link['ifindex']} "
                             f"u=64101 h=n m={tap['mac'].replace(':', '')} q=1 s=600 b={born} l=web:1")
            self.assertLessEqual(before, int(born))
            self.assertLessEqual(int(born), time.clock_gettime(time.CLOCK_BOOTTIME))

    def test_device_settings(self):
        """Each tap is restricted before it is handed over (I5): strict reverse path filter, no IPv6, no redirects."""
        self.up("alice")
        expected = {"ipv4/conf/tap8/rp_filter": "1", "ipv4/conf/tap8/arp_ignore": "1",
                    "ipv4/conf/tap8/accept_redirects": "0", "ipv4/conf/tap8/send_redirects": "0",
                    "ipv4/conf/tap8/ignore_routes_with_linkdown": "1", "ipv6/conf/tap8/disable_ipv6": "1"}
        found = {}
        for path in expected:
            with open(f"/proc/sys/net/{path}", encoding="ascii") as file:
                found[path] = file.read().strip()
        self.assertEqual(found, expected)

    def test_lowest_free_index(self):
        """Without a label the lowest free index is given, and it has the same addresses and MAC each time."""
        first, second = self.up("alice"), self.up("bob")
        self.assert_grant(first, "alice", [8])
        self.assert_grant(second, "bob", [9])
        self.ok("alice", "down", first["lease"])
        again = self.up("alice")
        self.assert_grant(again, "alice", [8])
        self.assertEqual(again["taps"], first["taps"])
        self.assertNotEqual(again["lease"], first["lease"])

    def test_list(self):
        """`list --json` shows the user's own leases exactly as `up --json` printed them, sorted by index."""
        one, theirs, two = self.up("alice", "--count", "2"), self.up("bob"), self.up("alice", "--label", "b")
        mine = sorted([one, two], key=lambda grant: grant["taps"][0]["index"])
        self.assertEqual(self.leases("alice"), mine)
        self.assertEqual(self.leases("bob"), [theirs])
        self.assertEqual(self.leases("carol"), [])
        everyone = sorted([one, theirs, two], key=lambda grant: grant["taps"][0]["index"])
        self.assertEqual(self.leases("root", "--all"), everyone)

    def test_list_in_columns(self):
        """`list` in columns shows the same facts as in rows, for each lease and each tap."""
        self.up("alice", "--count", "2", "--label", "two")
        bobs = self.up("bob", "--idle-timeout", "60")["taps"][0]["name"]
        holder = self.run_stand_in("alice", "--queues", "2")
        kernel.ip("address", "flush", "dev", bobs)
        with self.host.connect() as root:
            rows, columns = (self.call(root, "List", "a{sv}", {"all": Variant("b", True), "columns": Variant("b", wanted)})[0]
                             for wanted in (False, True))
        taps = [tap for lease in rows for tap in lease["taps"]]
        self.assertEqual(sorted(lease["label"] for lease in rows), ["", "", "two"])
        wanted = {key: [lease[key] for lease in rows] for key in rows[0]}
        wanted["taps"] = [len(lease["taps"]) for lease in rows]
        self.assertEqual(columns, [{**wanted, **{key: [tap[key] for tap in taps] for key in taps[0]}}])
        holder.end()
        self.ok("alice", "down", "two")
        self.ok("bob", "down", "--all")
        with self.host.connect() as root:
            (empty,) = self.call(root, "List", "a{sv}", {"columns": Variant("b", True)})[0]
        self.assertEqual(empty, {key: [] for key in columns[0]})

    def test_list_for_people(self):
        """`list` without --json shows lease, label, device and address."""
        grant = self.up("alice", "--label", "shop")
        text = self.ok("alice", "list")
        for word in (grant["lease"], "shop", grant["taps"][0]["name"], grant["taps"][0]["client"]):
            self.assertIn(word, text)

    def test_queues(self):
        """`up --queues 2` gives multi-queue taps, with queues= on the netdev and mq=on,vectors=6 on a virtio device."""
        grant = self.up("alice", "--queues", "2", "--count", "2")
        self.assert_grant(grant, "alice", [8, 9], queues=2)
        self.assertEqual(grant["qemu_args"][1], "tap,id=net0,ifname=tap8,script=no,downscript=no,queues=2")
        self.assertEqual(grant["qemu_args"][3],
                         f"virtio-net-pci,netdev=net0,mac={grant['taps'][0]['mac']},mq=on,vectors=6")
        self.assertTrue(kernel.link("tap8")["linkinfo"]["info_data"]["multi_queue"])

    def test_device_model(self):
        """`--device` puts any NIC model on the command line, with mq= only on virtio models."""
        grant = self.up("alice", "--device", "e1000", "--queues", "2")
        self.assertEqual(grant["qemu_args"], name_arguments(grant["taps"], "e1000"))
        self.assertEqual(grant["qemu_args"][3], f"e1000,netdev=net0,mac={grant['taps'][0]['mac']}")
        grant = self.up("alice", "--device", "virtio-net-pci-non-transitional", "--queues", "3")
        self.assertEqual(grant["qemu_args"][2:],
                         device_arguments(0, grant["taps"][0], "virtio-net-pci-non-transitional"))
        self.assertTrue(grant["qemu_args"][3].endswith(",mq=on,vectors=8"))

    def test_mmio_devices(self):
        """virtio-net-device has no vectors= and names its bus: mmio NICs appear in reverse order otherwise."""
        grant = self.up("alice", "--device", "virtio-net-device", "--queues", "2", "--count", "2")
        self.assertEqual([grant["qemu_args"][3], grant["qemu_args"][7]],
                         [f"virtio-net-device,netdev=net{number},mac={tap['mac']},mq=on,bus=virtio-mmio-bus.{number}"
                          for number, tap in enumerate(grant["taps"])])

    def test_largest_request(self):
        """One lease of 32 taps, the limit of one call and of one user, has 32 complete taps (I8, I9)."""
        grant = self.up("alice", "--count", "32")
        self.assertEqual(grant["taps"], self.expected_taps(grant, range(8, 40)))
        self.assertEqual(sorted(kernel.ours()), sorted(f"tap{index}" for index in range(8, 40)))
        self.ok("alice", "down", grant["lease"])
        self.host.no_trace()


class Untold(BusRing):
    """Results that `up` cannot write: it releases the lease, because no caller knows of it."""

    def assert_given_back(self, *argv, words=(), **options):
        done = self.host.run("alice", *argv, **options)
        self.assert_refused(done, 1, *words)
        self.assertEqual(self.leases("alice"), [])
        self.host.no_trace()

    def test_reader_gone(self):
        """`up` into a pipe without a reader fails with status 1, is not ended by a signal, and leaves no lease."""
        for form in ((), ("--json",), ("--count", "32", "--format", "env")):
            with self.subTest(form=form):
                reader, writer = os.pipe()
                os.close(reader)
                with os.fdopen(writer) as pipe:
                    self.assert_given_back("qemu-tapctl", "up", *form, stdout=pipe)

    def test_reader_leaves(self):
        """`up` fails with status 1 and leaves no lease if the reader closes the pipe while `up` waits for room."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, writer)
        os.set_blocking(writer, False)
        with self.assertRaises(BlockingIOError):
            while os.write(writer, bytes(4096)):
                pass
        os.set_blocking(writer, True)
        client = self.host.ctl_start("alice", "up", stdout=writer)
        self.addCleanup(self._end, client)
        kernel.wait_for(kernel.present("tap8"), "the lease is given")
        self.assertIsNone(client.poll())
        os.close(reader)
        err = client.communicate()[1].decode()
        self.assert_refused(Done(client.returncode, "", err), 1)
        self.assertEqual(self.leases("alice"), [])
        self.host.no_trace()

    def test_stdout_closed(self):
        """`up` with stdout or all standard descriptors closed fails with status 1 and leaves no lease."""
        self.assert_given_back("sh", "-c", "exec qemu-tapctl up >&-")
        self.assertEqual(self.host.run("alice", "sh", "-c", "exec qemu-tapctl up <&- >&- 2>&-").status, 1)
        self.assertEqual(self.leases("alice"), [])
        self.host.no_trace()

    def test_device_full(self):
        """`up` into a full device fails with status 1 and the name of that error, and leaves no lease."""
        with open("/dev/full", "wb") as full:
            self.assert_given_back("qemu-tapctl", "up", "--json", stdout=full, words=("No space left on device",))


class Formats(BusRing):
    def setUp(self):
        super().setUp()
        self.grant = self.up("alice", "--count", "2", "--label", "vm")

    def args(self, form):
        return self.ok("alice", "args", "vm", "--format", form)

    def test_json(self):
        """`args --format json` repeats the grant of `up --json`, by label and by lease."""
        self.assertEqual(json.loads(self.args("json")), self.grant)
        self.assertEqual(json.loads(self.ok("alice", "args", self.grant["lease"], "--format", "json")), self.grant)

    def test_qemu(self):
        """`--format qemu` prints shell-quoted words that give back the exact argument list."""
        self.assertEqual(shlex.split(self.args("qemu")), self.grant["qemu_args"])

    def test_cmdline(self):
        """`--format cmdline` prints the ip= words in one line."""
        self.assertEqual(self.args("cmdline"), self.grant["kernel_cmdline"] + "\n")

    def test_env(self):
        """`--format env` prints KEY=value lines that a shell's eval reads back unchanged."""
        text = self.args("env")
        for line in text.splitlines():
            self.assertRegex(line, r"\A[A-Z][A-Z0-9_]*=")
        script = 'before=$(set -o posix; set | cut -d= -f1); eval "$1"; for name in $(printf "%s\\n" "$1" | ' \
                 'cut -d= -f1); do printf "%s\\0" "${!name}"; done'
        done = self.host.run("alice", "bash", "-c", script, "bash", text)
        self.assertEqual((done.status, done.err), (0, ""))
        values = done.out.split("\0")
        self.assertIn(self.grant["lease"], values)
        self.assertIn(self.grant["kernel_cmdline"], values)
        self.assertIn(self.grant["qemu_args"], [shlex.split(value) for value in values])
        for tap in self.grant["taps"]:
            self.assertIn(tap["name"], values)
            self.assertIn(tap["mac"], values)

    def test_yocto(self):
        """`--format yocto` sets runqemu's three variables."""
        text = self.args("yocto")
        names = [line.split("=")[0].strip() for line in text.splitlines() if line.strip()]
        self.assertEqual(sorted(names), ["QB_CMDLINE_IP_TAP", "QB_NETWORK_DEVICE", "QB_TAP_OPT"])
        for word in self.grant["kernel_cmdline"].split()[:2]:
            self.assertIn(word, text)
        for word in self.grant["qemu_args"]:
            self.assertIn(word, text)

    def test_text(self):
        """The text format names lease, devices and addresses and has a QEMU command line to copy."""
        text = self.args("text")
        self.assertIn(self.grant["lease"], text)
        for tap in self.grant["taps"]:
            for word in (tap["name"], tap["gateway"], tap["client"]):
                self.assertIn(word, text)
        for word in self.grant["qemu_args"]:
            self.assertIn(word, text)

    def test_defaults(self):
        """Without --format `args` prints QEMU's words and `up` the text format."""
        self.assertEqual(self.ok("alice", "args", "vm"), self.args("qemu"))
        text = self.ok("alice", "up", "--label", "other")
        self.assertEqual(self.ok("alice", "args", "other", "--format", "text"), text)


class Labels(BusRing):
    def test_label_finds_its_index_again(self):
        """The same user and label get the same name, addresses and MAC again, even from another daemon process."""
        self.up("bob")
        first = self.up("alice", "--count", "2", "--label", "build-vm")
        self.assert_grant(first, "alice", [tap["index"] for tap in first["taps"]], label="build-vm")
        self.ok("alice", "down", "build-vm")
        other = self.up("carol")
        self.host.restart_daemon()
        again = self.up("alice", "--count", "2", "--label", "build-vm")
        self.assertEqual(again["taps"], first["taps"])
        self.assertNotIn(other["taps"][0]["index"], [tap["index"] for tap in again["taps"]])

    def test_label_whose_index_is_taken(self):
        """A label whose old index is taken gets another one, and the old one again as soon as it is free (I2)."""
        first = self.up("alice", "--label", "db")
        name = first["taps"][0]["name"]
        self.ok("alice", "down", "db")
        kernel.ip("tuntap", "add", name, "mode", "tap")
        elsewhere = self.up("alice", "--label", "db")
        self.assertNotEqual(elsewhere["taps"][0]["index"], first["taps"][0]["index"])
        self.ok("alice", "down", "db")
        kernel.ip("link", "delete", name)
        self.assertEqual(self.up("alice", "--label", "db")["taps"], first["taps"])

    def test_longest_label(self):
        """A label of 63 bytes with every allowed character works from request to list to release."""
        label = ("Az09._:@+-" * 7)[:63]
        grant = self.up("alice", "--label", label)
        self.assertEqual(grant["label"], label)
        self.assertEqual([lease["label"] for lease in self.leases("alice")], [label])
        self.assertEqual(kernel.alias_words(grant["taps"][0]["name"])["label"], label)
        self.ok("alice", "down", label)
        self.host.no_trace()
