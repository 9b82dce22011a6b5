# SPDX-License-Identifier: MIT
"""Leases held by descriptors: what `run` gives the program that it executes. The lease ends with its last descriptor,
however that is closed."""

import os
import random
import time

from tests.bus.ring import ADDED, MULTI_QUEUE, PERSIST, TAP_FLAGS, VNET_HDR, BusRing, device_arguments, kernel_cmdline
from tests.lib import furnish, kernel, users


class Run(BusRing):
    def assert_words(self, holder, caller, grant):
        """Expects the caller's arguments unchanged, then the added ones, and each descriptor to be the right tap."""
        words = []
        for number, tap in enumerate(grant["taps"]):
            numbers = holder.fds(number)
            self.assertEqual(len(numbers), tap["queues"])
            words += ["-netdev", f"tap,id={ADDED}{number},fds={':'.join(map(str, numbers))}",
                      *device_arguments(number, tap, netdev=ADDED)]
            flags = TAP_FLAGS | (MULTI_QUEUE if tap["queues"] > 1 else 0)
            for descriptor in numbers:
                self.assertEqual(holder.open[descriptor]["tap"],
                                 {"name": tap["name"], "flags": flags, "mac": "fe" + tap["mac"][2:]})
        self.assertEqual(holder.argv, [*caller, *words])

    def test_becomes_the_program(self):
        """`run` executes the program as the caller, with one descriptor per tap, each the right tap, and no other."""
        caller = ["-m", "64", "with space", "-nographic"]
        holder = self.run_stand_in("alice", "--count", "2", command=caller)
        (lease,) = self.leases("alice")
        self.assert_grant(lease, "alice", [8, 9], hold="fd")
        self.assert_words(holder, caller, lease)
        self.assertEqual(holder.report["pid"], holder.popen.pid)
        self.assertEqual(holder.report["uid"], 64101)
        self.assertEqual(sorted(holder.open), sorted(holder.fds(0) + holder.fds(1)))
        for tap in lease["taps"]:
            self.assertIn("LOWER_UP", kernel.link(tap["name"])["flags"])
            self.assertFalse(kernel.link(tap["name"])["linkinfo"]["info_data"]["persist"])

    def test_without_virtio_header(self):
        """With --vnet off frames have no virtio header, and the descriptor's flags say so, as QEMU reads them."""
        holder = self.run_stand_in("alice", "--queues", "2", "--vnet", "off")
        self.assertEqual({holder.open[number]["tap"]["flags"] for number in holder.fds(0)},
                         {(TAP_FLAGS | MULTI_QUEUE) & ~VNET_HDR})

    def test_queues(self):
        """Two queues give two descriptors per netdev as fds=a:b, and mq=on,vectors=6 on the device."""
        holder = self.run_stand_in("alice", "--count", "2", "--queues", "2", "--label", "mq")
        (lease,) = self.leases("alice")
        self.assert_grant(lease, "alice", lease_indexes(lease), hold="fd", label="mq", queues=2)
        self.assert_words(holder, [], lease)
        self.assertTrue(holder.argv[3].endswith(",mq=on,vectors=6"), holder.argv)
        self.assertEqual(len(holder.open), 4)

    def test_sixteen_descriptors(self):
        """16 descriptors, the most that one answer carries, arrive and work, as 16 taps and as 4 taps of 4 queues."""
        for options in (("--count", "16"), ("--count", "4", "--queues", "4")):
            with self.subTest(options=options):
                holder = self.run_stand_in("alice", *options)
                self.assertEqual(len(holder.open), 16)
                self.assertTrue(all(entry["tap"] for entry in holder.open.values()), holder.open)
                names = list(kernel.ours())
                self.assertEqual(holder.end(), 0)
                kernel.wait_for(kernel.absent(*names), "the taps end with their program")
                self.host.no_trace()

    def test_seventeen_descriptors(self):
        """17 descriptors in one call are refused with status 2 before anything is made (I8)."""
        for options in (("--count", "17"), ("--queues", "17"), ("--count", "3", "--queues", "6"),
                        ("--count", "32")):
            with self.subTest(options=options):
                self.assert_refused(self.ctl("alice", "run", *options, "--", "true"), 2)
                self.host.no_trace()

    def test_status(self):
        """The status of `run` is the program's own, also when a signal ends it."""
        self.assertEqual(self.run_stand_in("alice").end(42), 42)
        self.assertEqual(self.run_stand_in("alice").kill(), -9)
        kernel.wait_for(kernel.absent("tap8"), "the tap ends with its program")
        self.host.no_trace()

    def test_tun_closed_to_users(self):
        """`run` works where only root may open /dev/net/tun: the daemon passes the descriptors."""
        os.chmod("/dev/net/tun", 0o600)
        self.host.restart_daemon()
        holder = self.run_stand_in("alice")
        self.assertEqual(holder.open[holder.fds(0)[0]]["tap"]["name"], "tap8")

    def test_no_arguments_again(self):
        """`args` gives status 2 for descriptors that a running program already has."""
        self.run_stand_in("alice", "--label", "vm")
        self.assert_refused(self.ctl("alice", "args", "vm"), 2, "descriptors")

    def test_down(self):
        """`down` ends the lease of a running program: its devices are deleted and the program stays."""
        holder = self.run_stand_in("alice", "--count", "2", "--label", "vm")
        self.ok("alice", "down", "vm")
        self.host.no_trace()
        self.assertIsNone(holder.popen.poll())
        self.assertTrue(all(entry["tap"] is None for entry in holder.tell("descriptors").values()))


class Append(BusRing):
    """The ip= words in the caller's -append."""

    def started(self, *command):
        holder = self.run_stand_in("alice", "--count", "2", command=command)
        (lease,) = self.leases("alice")
        return holder, kernel_cmdline(lease["taps"])

    def test_existing(self):
        """The ip= words are added to the caller's last -append."""
        command = ["-append", "early", "-kernel", "bzImage", "-append", "console=ttyS0 quiet", "-m", "64"]
        holder, words = self.started(*command)
        self.assertEqual(holder.argv[:8], [*command[:5], f"console=ttyS0 quiet {words}", *command[6:]])
        self.assertEqual(holder.argv.count("-append"), 2)
        self.assertEqual(len(holder.argv), 8 + 8)

    def test_added(self):
        """With -kernel and no -append, `run` adds one."""
        holder, words = self.started("-kernel", "bzImage")
        self.assertEqual(holder.argv.count("-append"), 1)
        place = holder.argv.index("-append")
        self.assertEqual(holder.argv[place + 1], words)
        rest = holder.argv[:place] + holder.argv[place + 2:]
        self.assertEqual((rest[:2], len(rest)), (["-kernel", "bzImage"], 2 + 8))

    def test_no_kernel(self):
        """Without -kernel `run` adds neither -append nor ip=."""
        holder, _ = self.started("-drive", "file=disk.img")
        self.assertNotIn("-append", holder.argv)
        self.assertNotIn("ip=", " ".join(holder.argv))

    def test_beside_another_nic(self):
        """Beside the caller's own NIC the added netdevs have ids of their own, and ip= names the added NICs."""
        command = ["-kernel", "bzImage", "-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0"]
        holder, _ = self.started(*command)
        (lease,) = self.leases("alice")
        first, second = lease["taps"]
        append = holder.argv[holder.argv.index("-append") + 1]
        self.assertEqual(append, f"ip={second['client']}:::255.255.255.0::eth2:off ip={first['client']}::"
                                 f"{first['gateway']}:255.255.255.0::eth1:off net.ifnames=0")
        netdevs = [word for word in holder.argv if word.startswith("tap,")]
        self.assertEqual([word.split(",")[1] for word in netdevs], [f"id={ADDED}0", f"id={ADDED}1"])
        devices = [word for word in holder.argv if word.startswith("virtio-net-pci,")]
        self.assertEqual(devices[1:], [f"virtio-net-pci,netdev={ADDED}0,mac={first['mac']}",
                                       f"virtio-net-pci,netdev={ADDED}1,mac={second['mac']}"])

    def test_ip_already_there(self):
        """An -append that already has ip= is left alone, and a warning of one line says so."""
        command = ["-kernel", "bzImage", "-append", "ip=dhcp console=ttyS0"]
        holder, _ = self.started(*command)
        self.assertEqual(holder.argv[:4], command)
        self.assertEqual(holder.argv.count("-append"), 1)
        self.assertEqual(holder.end(), 0)
        self.assertRegex(holder.popen.stderr.read().decode(), r"\Aqemu-tapctl: [^\n]*ip=[^\n]*\n\Z")


class Ends(BusRing):
    """No device outlives the program."""

    def assert_gone_in_time(self, holder):
        names = [tap["name"] for tap in self.leases_before]
        holder.popen.kill()
        kernel.wait_for(kernel.absent(*names), "the taps go with their program")
        self.host.no_trace()

    def start_two(self):
        holder = self.run_stand_in("alice", "--count", "2")
        (lease,) = self.leases("alice")
        self.leases_before = lease["taps"]
        return holder

    def test_killed(self):
        """Taps, addresses and routes are gone after the program's SIGKILL."""
        self.assert_gone_in_time(self.start_two())
        self.assertEqual(self.leases("alice"), [])

    def test_killed_after_the_daemon(self):
        """The taps end with the program even if the daemon was killed before: no other process is needed."""
        holder = self.start_two()
        self.host.daemon.kill()
        self.assert_gone_in_time(holder)
        self.host.restart_daemon()
        self.assertEqual(self.leases("alice"), [])

    def test_frozen_daemon(self):
        """The taps end while the daemon is stopped, and it knows of their end when it continues."""
        holder = self.start_two()
        self.host.daemon.freeze()
        self.assert_gone_in_time(holder)
        self.host.daemon.thaw()
        self.assertEqual(self.leases("alice"), [])

    def test_made_persistent(self):
        """A holder that makes its tap persistent does not extend the lease: the daemon deletes the tap (I6)."""
        holder = self.start_two()
        holder.tell("persist", holder.fds(0)[0], 1)
        flags = holder.tell("descriptors")[str(holder.fds(0)[0])]["tap"]["flags"]
        self.assertEqual(flags & PERSIST, PERSIST)
        kernel.stays(kernel.present("tap8", "tap9"), 0.3, "a persistent tap in use is left alone")
        holder.kill()
        kernel.wait_for(kernel.absent("tap8", "tap9"), "the taps that no process holds are deleted")
        self.host.no_trace()

    def test_given_away(self):
        """A holder that also gives its tap to another uid does not extend the lease either (I6)."""
        holder = self.start_two()
        for number in (0, 1):
            holder.tell("owner", holder.fds(number)[0], 64102)
            holder.tell("persist", holder.fds(number)[0], 1)
        holder.kill()
        kernel.wait_for(kernel.absent("tap8", "tap9"), "the taps that no process holds are deleted")
        self.host.no_trace()

    def test_one_closed(self):
        """A program that closes one of its two taps loses only that one."""
        holder = self.start_two()
        holder.tell("close", holder.fds(1)[0])
        kernel.wait_for(kernel.absent("tap9"), "the closed tap is gone")
        self.assertTrue(kernel.present("tap8")())

    def test_not_for_others(self):
        """No other process can attach to a held tap: not another user's, and not another one of its owner (I4)."""
        self.start_two()
        other, owner = self.run_stand_in("bob", alone=True), self.run_stand_in("alice", alone=True)
        with self.assertRaises(PermissionError):
            other.tell("attach", "tap8", "0x5002")
        with self.assertRaises(OSError) as caught:
            owner.tell("attach", "tap8", "0x5002")
        self.assertEqual(caught.exception.errno, 16)


class Path(BusRing):
    def test_empty_element(self):
        """An empty element anywhere in PATH means the current directory, as for execvp(3)."""
        home = f"{users.HOMES}/alice"
        with open(f"{home}/from-here", "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nexit 42\n")
        os.chmod(f"{home}/from-here", 0o755)
        self.addCleanup(os.unlink, f"{home}/from-here")
        for path in ("", ":/usr/bin", "/usr/bin:", "/usr/bin::/bin"):
            for directory, status in ((home, 42), ("/", 127)):
                with self.subTest(path=path, directory=directory):
                    done = self.ctl("alice", "run", "--", "from-here", cwd=directory, environment={"PATH": path})
                    self.assertEqual((done.status, done.out), (status, ""), done)
        done = self.ctl("alice", "run", "--", "from-here", cwd=home, environment={"PATH": "/usr/bin:/bin"})
        self.assert_refused(done, 127, "from-here")
        kernel.wait_for(lambda: not kernel.ours(), "the leases end with their programs")
        self.host.no_trace()


class CannotStart(BusRing):
    def test_not_found(self):
        """A command that does not exist gives status 127, and the lease ends."""
        self.assert_refused(self.ctl("alice", "run", "--count", "2", "--", "no-such-program", "-m", "64"), 127,
                            "no-such-program")
        kernel.wait_for(lambda: not kernel.ours(), "the lease ends with the client")
        self.host.no_trace()

    def test_not_executable(self):
        """A command that cannot be executed gives status 126, and the lease ends."""
        for command in ("/etc/passwd", "/tmp"):
            with self.subTest(command=command):
                self.assert_refused(self.ctl("alice", "run", "--", command), 126, command)
                kernel.wait_for(lambda: not kernel.ours(), "the lease ends with the client")
                self.host.no_trace()

    def test_no_interpreter(self):
        """A script without its interpreter, which only execve reports, gives status 127, and the lease ends."""
        script = f"{furnish.RIG}/no-interpreter"
        with open(script, "w", encoding="ascii") as file:
            file.write("#!/no/such/interpreter\n")
        os.chmod(script, 0o755)
        done = self.ctl("alice", "run", "--count", "2", "--", script, "{lease}")
        self.assert_refused(done, 127, script)
        kernel.wait_for(lambda: not kernel.ours(), "the lease ends with the client")
        self.host.no_trace()

    def test_killed_at_any_moment(self):
        """A client that is killed at any moment between its request and execve leaves nothing (I1)."""
        for _ in range(25):
            client = self.host.ctl_start("alice", "run", "--count", "4", "--", "sleep", "60")
            # The random delay is what the test varies: no event marks the moments in between.
            time.sleep(random.uniform(0, 0.03))
            client.kill()
            client.communicate()
        # The daemon answers in order: after this answer it has handled all of them.
        self.leases("root", "--all")
        kernel.wait_for(lambda: not kernel.ours(), "the leases end with their clients")
        self.host.no_trace()

    def test_no_command(self):
        """`run` without a command gives status 2 and sends no request."""
        for words in ((), ("--",), ("--count", "2"), ("--count", "2", "--")):
            with self.subTest(words=words):
                self.assert_refused(self.ctl("alice", "run", *words), 2)
        self.host.no_trace()


def lease_indexes(lease):
    return [tap["index"] for tap in lease["taps"]]
