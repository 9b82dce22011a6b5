# SPDX-License-Identifier: MIT
"""Attended leases end with the bus connection that asked for them, however that ends and whatever the daemon does
meanwhile. No other connection's end affects them."""

import multiprocessing
import os
import signal

from tests.bus.ring import MANAGER, BusRing
from tests.lib import kernel
from tests.lib.bus import BUS, SIGNAL, Variant
from tests.lib.host import BUS_POLICY

ATTENDED = {"hold": Variant("s", "name"), "attended": Variant("b", True)}
NO_REPLY = 1


def attend(host, user, count, told):
    """Runs in a process of its own: asks for a lease and stays connected."""
    bus = host.connect(user)
    told.send(bus.call("org.qemutap1", "/org/qemutap1", "org.qemutap1.Manager.Acquire", "ua{sv}", count, ATTENDED)[0])
    signal.pause()


class AttendedRing(BusRing):
    def connect(self, user="alice"):
        bus = self.host.connect(user)
        self.addCleanup(bus.close)
        return bus

    def attend(self, bus, count=1, **more):
        """Returns the lease and its devices."""
        options = {**ATTENDED, **{key.replace("_", "-"): value for key, value in more.items()}}
        lease, taps, descriptors = self.call(bus, "Acquire", "ua{sv}", count, options)
        self.assertEqual(descriptors, [])
        return lease, [tap["name"] for tap in taps]

    def assert_gone(self, *names):
        kernel.wait_for(kernel.absent(*names), "the devices end with their caller")

    def bus_id(self, bus):
        return bus.call(*BUS[:2], f"{BUS[2]}.GetId")[0]


class Leaving(AttendedRing):
    def test_forged(self):
        """A client that forges the bus's reports ends no lease, even if no bus policy blocks its messages.
        It reports that another connection has ended, and that the service has lost its name."""
        bus, dave = self.connect(), self.connect("dave")
        lease, _ = self.attend(bus)
        with open(f"{BUS_POLICY}/zz-let-in.conf", "w", encoding="ascii") as file:
            file.write('<busconfig><policy user="dave"><allow send_destination="org.qemutap1"/></policy></busconfig>')
        self.addCleanup(self.reload_bus)
        self.addCleanup(os.remove, file.name)
        self.reload_bus()
        dave.send(MANAGER[0], BUS[1], f"{BUS[2]}.NameOwnerChanged", "sss", bus.name, bus.name, "", flags=NO_REPLY,
                  kind=SIGNAL)
        dave.send(MANAGER[0], BUS[1], f"{BUS[2]}.NameLost", "s", MANAGER[0], flags=NO_REPLY, kind=SIGNAL)
        self.call(dave, "List", "a{sv}", {})
        self.assertEqual([one["lease"] for one in self.leases("alice")], [lease])

    def reload_bus(self):
        with self.host.connect() as root:
            root.call(*BUS[:2], f"{BUS[2]}.ReloadConfig")

    def test_closed(self):
        """When the caller closes its connection, its devices, addresses and routes are deleted."""
        bus = self.connect()
        _, names = self.attend(bus, 3)
        bus.close()
        self.assert_gone(*names)
        self.host.no_trace()
        self.assertEqual(self.leases("alice"), [])

    def test_killed(self):
        """When the caller is killed (SIGKILL), its devices are deleted."""
        for user in ("alice", "root"):
            with self.subTest(user=user):
                ours, theirs = multiprocessing.Pipe()
                caller = multiprocessing.get_context("fork").Process(target=attend, args=(self.host, user, 2, theirs))
                caller.start()
                self.addCleanup(caller.kill)
                lease = ours.recv()
                listed = self.leases(user)
                self.assertEqual([(entry["lease"], entry["attended"]) for entry in listed], [(lease, True)])
                caller.kill()
                caller.join()
                self.assert_gone(*[tap["name"] for tap in listed[0]["taps"]])
                self.host.no_trace()

    def test_all_of_one_caller(self):
        """All attended leases of a connection end with it; unattended ones and those of other connections stay."""
        leaving, staying, others = self.connect(), self.connect(), self.connect("bob")
        gone = [name for count in (1, 2) for name in self.attend(leaving, count)[1]]
        stays = [lease for lease, _ in (self.attend(staying), self.attend(others))] + [self.up("alice")["lease"]]
        leaving.close()
        self.assert_gone(*gone)
        self.assertEqual(sorted(lease["lease"] for lease in self.leases("root", "--all")), sorted(stays))
        # No attended lease is left now, so no later event of theirs can help.
        others.close()
        staying.close()
        kernel.wait_for(lambda: len(kernel.ours()) == 1, "the attended leases end")

    def test_open_device(self):
        """The devices of an attended lease are deleted with it even while a program has them open."""
        bus = self.connect()
        _, (name,) = self.attend(bus)
        self.run_stand_in("alice", alone=True).tell("attach", name, "0x5002")
        bus.close()
        self.assert_gone(name)
        self.host.no_trace()

    def test_before_the_answer(self):
        """A caller that leaves while polkit decides gets no lease, and nothing is left behind."""
        bus, behind = self.connect(), self.connect()
        self.host.polkit.freeze()
        self.send(bus, "Acquire", "ua{sv}", 2, ATTENDED)
        self.bus_id(bus)
        bus.close()
        self.host.polkit.thaw()
        # The service puts one user's questions to polkit one after the other.
        lease, names = self.attend(behind)
        self.assertEqual(list(kernel.ours()), names)
        self.call(behind, "Release", "s", lease)
        self.host.no_trace()

    def test_released_before(self):
        """The owner can release an attended lease over another connection; leaving afterwards ends nothing more."""
        bus = self.connect()
        lease, _ = self.attend(bus)
        self.ok("alice", "down", lease)
        self.host.no_trace()
        other = self.up("alice")
        bus.close()
        attendant = self.connect()
        _, names = self.attend(attendant)
        attendant.close()
        self.assert_gone(*names)
        self.assertEqual(self.leases("alice"), [other])

    def test_idle_timeout(self):
        """An attended lease with an idle timeout ends at the timeout or with its connection, whichever is first."""
        bus = self.connect()
        _, idle = self.attend(bus, idle_timeout=Variant("t", 1))
        _, left = self.attend(bus, idle_timeout=Variant("t", 3600))
        kernel.wait_for(kernel.absent(*idle), "the idle lease ends")
        self.assertTrue(kernel.present(*left)())
        bus.close()
        self.assert_gone(*left)


class Kept(AttendedRing):
    def test_alias(self):
        """The device's alias names the caller's connection and its bus: the kernel is the only store."""
        bus = self.connect()
        lease, (name,) = self.attend(bus, label=Variant("s", "web"))
        link = kernel.link(name)
        words = kernel.alias_in(link)
        self.assertEqual(words["attended"], f"{bus.name}@{self.bus_id(bus)[:8]}")
        self.assertEqual(link["ifalias"],
                         f"qemu-tap2 i={lease} t=0/1 x={words['index']} d={link['ifindex']} u=64101 h=n "
                         f"m={words['mac']} q=1 a={words['attended']} b={words['born']} l=web")

    def test_listed(self):
        """List shows which leases are attended."""
        bus = self.connect()
        lease, _ = self.attend(bus)
        other = self.up("alice")["lease"]
        (leases,) = self.call(bus, "List", "a{sv}", {})
        self.assertEqual({entry["lease"]: entry["attended"] for entry in leases}, {lease: True, other: False})
        self.assertEqual({entry["lease"]: entry["attended"] for entry in self.leases("alice")},
                         {lease: True, other: False})

    def test_others_come_and_go(self):
        """The end of other connections does not end an attended lease."""
        bus = self.connect()
        lease, names = self.attend(bus)
        for user in ("alice", "bob", "root") * 5:
            self.host.connect(user).close()
        self.assertEqual([entry["lease"] for entry in self.leases("alice")], [lease])
        self.assertTrue(kernel.present(*names)())

    def test_daemon_crash(self):
        """A caller that stays keeps its lease through a crash and restart of the daemon; leaving still ends it (I1)."""
        bus, other = self.connect(), self.connect("bob")
        _, names = self.attend(bus, 2)
        self.attend(other)
        before = self.ok("root", "list", "--json", "--all")
        self.host.daemon.kill()
        self.host.restart_daemon()
        self.assertEqual(self.ok("root", "list", "--json", "--all"), before)
        bus.close()
        self.assert_gone(*names)
        self.assertEqual([entry["uid"] for entry in self.leases("root", "--all")], [64102])

    def test_left_without_daemon(self):
        """A new daemon ends the lease of a caller that left while no daemon ran, and no other lease (I1)."""
        leaving, staying = self.connect(), self.connect()
        _, gone = self.attend(leaving, 2)
        stays, _ = self.attend(staying)
        self.host.daemon.kill()
        leaving.close()
        self.assertTrue(kernel.present(*gone)())
        self.host.restart_daemon()
        self.assert_gone(*gone)
        self.assertEqual([entry["lease"] for entry in self.leases("alice")], [stays])

    def test_left_unheard(self):
        """A daemon that was stopped (SIGSTOP) ends the lease of a caller that left in the meantime."""
        bus = self.connect()
        _, names = self.attend(bus)
        self.host.daemon.freeze()
        bus.close()
        self.assertTrue(kernel.present(*names)())
        self.host.daemon.thaw()
        self.assert_gone(*names)

    def test_another_bus(self):
        """After a restart of the bus, a connection with the caller's old name does not keep the old lease."""
        bus = self.connect()
        _, names = self.attend(bus)
        self.host.close()
        self.assertTrue(kernel.present(*names)())
        self.host.start_bus()
        namesake = self.connect()
        while namesake.name != bus.name:
            self.assertLess(int(namesake.name.rpartition(".")[2]), int(bus.name.rpartition(".")[2]))
            namesake = self.connect()
        self.host.start_daemon()
        self.assert_gone(*names)
        self.host.no_trace()
