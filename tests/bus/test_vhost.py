# SPDX-License-Identifier: MIT
"""vhost: used when the daemon can open /dev/vhost-net, left out or an error when it cannot, and never on the command
line without a descriptor that is held. Where the kernel has no vhost-net a stand-in device takes its place: the
daemon hands it over unopened by anything but open(), and the guest of another ring is what uses it."""

import os

from rig import kernel, users
from ring import BusRing, device_arguments

VHOST = "/dev/vhost-net"


def place_vhost():
    """The kernel's own vhost-net where there is one, else a device that opens as well (that of /dev/null)."""
    with open("/proc/misc", encoding="ascii") as file:
        numbers = {name: int(number) for number, name in (line.split() for line in file)}
    device = (10, numbers["vhost-net"]) if "vhost-net" in numbers else (1, 3)
    os.mknod(VHOST, 0o020600, os.makedev(*device))
    # As udev sets it.
    os.chown(VHOST, 0, users.KVM_ID)
    os.chmod(VHOST, 0o660)
    return list(device)


class Vhost(BusRing):
    def setUp(self):
        super().setUp()
        self.addCleanup(lambda: os.path.exists(VHOST) and os.unlink(VHOST))

    def test_auto_without_device(self):
        """`--vhost auto` without /dev/vhost-net works without vhost."""
        for choice in ("auto", "no"):
            with self.subTest(choice=choice):
                holder = self.run_stand_in("alice", "--vhost", choice, "--label", choice)
                lease = next(lease for lease in self.leases("alice") if lease["label"] == choice)
                self.assertEqual([tap["vhost"] for tap in lease["taps"]], [False])
                self.assertEqual(len(holder.open), 1)
                self.assertNotIn("vhost", " ".join(holder.argv))

    def test_yes_without_device(self):
        """`--vhost yes` without /dev/vhost-net is 10, names the device, and leaves nothing."""
        self.assert_refused(self.ctl("alice", "run", "--count", "2", "--vhost", "yes", "--", "true"), 10, VHOST)
        self.host.no_trace()

    def test_placeholder(self):
        """{vhostfdsI} are the vhost descriptors of that tap."""
        device = place_vhost()
        holder = self.run_stand_in("alice", "--queues", "2", "--vhost", "yes", command=["{fds0}", "{vhostfds0}"])
        queues, vhost = ([int(number) for number in word.split(":")] for word in holder.argv)
        self.assertEqual([holder.open[number]["tap"]["name"] for number in queues], ["tap8"] * 2)
        self.assertEqual([holder.open[number]["device"] for number in vhost], [device] * 2)
        self.assertEqual(len(holder.open), 4)

    def test_with_device(self):
        """With /dev/vhost-net `yes` and `auto` give as many of its descriptors as queues, named as vhostfds=."""
        device = place_vhost()
        for choice, count, queues in (("yes", 2, 1), ("auto", 2, 2)):
            with self.subTest(choice=choice):
                holder = self.run_stand_in("alice", "--count", str(count), "--queues", str(queues), "--vhost", choice,
                                           "--label", choice)
                lease = next(lease for lease in self.leases("alice") if lease["label"] == choice)
                self.assertEqual([tap["vhost"] for tap in lease["taps"]], [True] * count)
                words, seen = [], []
                for number, tap in enumerate(lease["taps"]):
                    self.assertEqual(kernel.alias_words(tap["name"])["vhost"], "1")
                    option = holder.argv[holder.argv.index("-netdev", 4 * number) + 1]
                    vhost = [int(fd) for fd in option.rpartition("vhostfds=")[2].split(":")]
                    self.assertEqual([holder.open[fd]["device"] for fd in vhost], [device] * queues)
                    self.assertEqual([holder.open[fd]["tap"]["name"] for fd in holder.fds(number)],
                                     [tap["name"]] * queues)
                    seen += vhost + holder.fds(number)
                    words += ["-netdev", f"tap,id=net{number},fds={':'.join(map(str, holder.fds(number)))},vhost=on,"
                              f"vhostfds={':'.join(map(str, vhost))}", *device_arguments(number, tap)]
                self.assertEqual(holder.argv, words)
                self.assertEqual(sorted(seen), sorted(holder.open))

    def test_no_with_device(self):
        """`--vhost no`, and no --vhost at all, do not use a /dev/vhost-net that is there."""
        place_vhost()
        for options in (("--vhost", "no"), ()):
            with self.subTest(options=options):
                holder = self.run_stand_in("alice", *options)
                self.assertEqual(len(holder.open), 1)
                self.assertNotIn("vhost", " ".join(holder.argv))

    def test_descriptor_limit(self):
        """vhost doubles the descriptors: 8 taps are 16, 9 are 18 and refused with 2 (I8)."""
        place_vhost()
        self.assert_refused(self.ctl("alice", "run", "--count", "9", "--vhost", "yes", "--", "true"), 2)
        self.host.no_trace()
        self.assertEqual(len(self.run_stand_in("alice", "--count", "8", "--vhost", "yes").open), 16)

    def test_after_restart(self):
        """That a tap has vhost is in the kernel with its lease: the list is the same from another daemon (I1)."""
        place_vhost()
        holder = self.run_stand_in("alice", "--vhost", "yes")
        before = self.ok("alice", "list", "--json")
        self.host.daemon.kill()
        os.unlink(VHOST)
        self.host.restart_daemon()
        self.assertEqual(self.ok("alice", "list", "--json"), before)
        holder.kill()
        kernel.wait_for(kernel.absent("tap8"), 1, "the lease ends with its descriptors")
        self.host.no_trace()
