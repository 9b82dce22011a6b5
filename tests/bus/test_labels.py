# SPDX-License-Identifier: MIT
"""Labels and their indexes. Another user cannot take an index with a computed label while its owner restarts, a
reservation keeps an index, and root's `down LABEL` ends no other user's lease by accident."""

import os
import signal

from tests.bus.ring import BusRing
from tests.lib import kernel, users

CONFIGURATION = "/etc/qemu-tapd.conf"
FIRST, SIZE = 7, 248
ROUNDS = 12


def start_of(user, label):
    """Where the search for an index starts: FNV-1a of uid and label, which any user can compute."""
    number = 0xcbf29ce484222325
    for byte in f"{users.USERS[user]}:{label}".encode():
        number = (number ^ byte) * 0x100000001b3 % 2**64
    return FIRST + number % SIZE


def label_leading_to(user, index):
    return next(f"x{number}" for number in range(1_000_000) if start_of(user, f"x{number}") == index)


class Labels(BusRing):
    def index(self, grant):
        return grant["taps"][0]["index"]

    def test_computed_label(self):
        """While alice's VM restarts, bob asks with a label that leads to its index; alice gets it back each time."""
        taken = found = 0
        for number in range(ROUNDS):
            first = self.index(self.up("alice", "--label", f"vm{number}"))
            self.ok("alice", "down", "--all")
            taken += self.index(self.up("bob", "--label", label_leading_to("bob", first))) == first
            found += self.index(self.up("alice", "--label", f"vm{number}")) == first
            self.ok("alice", "down", "--all")
            self.ok("bob", "down", "--all")
        self.shows = f"restarts {ROUNDS}, taken by a computed label {taken}, found again {found}"
        self.assertEqual((taken, found), (0, ROUNDS), self.shows)

    def test_computed_label_of_a_running_vm(self):
        """The same holds for a lease by descriptors, whose end the service learns from the kernel alone."""
        vm = self.run_stand_in("alice", "--label", "web")
        (lease,) = self.leases("alice")
        self.assertEqual(self.index(lease), start_of("alice", "web"))
        vm.kill()
        kernel.wait_for(lambda: not kernel.ours(), "the tap ends with its program")
        bobs = self.up("bob", "--label", label_leading_to("bob", self.index(lease)))
        self.assertNotEqual(self.index(bobs), self.index(lease))
        again = self.run_stand_in("alice", "--label", "web")
        (after,) = self.leases("alice")
        self.assertEqual(after["taps"], lease["taps"])
        again.kill()

    def test_without_a_label(self):
        """A lease without a label avoids the index that another user just released, and the owner gets it again."""
        first = self.up("alice")
        self.ok("alice", "down", first["lease"])
        self.assertEqual(self.index(self.up("bob")), self.index(first) + 1)
        self.assertEqual(self.up("alice")["taps"], first["taps"])


class Reserved(BusRing):
    options = ("--reserve", "alice", "web", "42", "--reserve", str(users.USERS["carol"]), "db", "8")

    def test_reserved(self):
        """A reserved index is given first to its user and label, and to no other lease even while it is free."""
        self.assertEqual([tap["index"] for tap in self.up("bob", "--count", "2")["taps"]], [9, 10])
        self.assertNotEqual(self.up("bob", "--label", label_leading_to("bob", 42))["taps"][0]["index"], 42)
        self.assertNotEqual(self.up("bob", "--label", "web")["taps"][0]["index"], 42)
        self.assertNotEqual(self.up("root", "--label", "web")["taps"][0]["index"], 42)
        grant = self.up("alice", "--count", "2", "--label", "web")
        self.assertEqual(grant["taps"][0]["index"], 42)
        self.assertEqual(self.up("carol", "--label", "db")["taps"][0]["index"], 8)

    def test_taken(self):
        """If another device has the reserved subnet there is no lease, and the error names the device."""
        kernel.ip("address", "add", "192.168.42.9/24", "dev", "lo")
        self.addCleanup(kernel.ip, "address", "del", "192.168.42.9/24", "dev", "lo")
        self.assert_refused(self.ctl("alice", "up", "--label", "web"), 7, "tap42", "192.168.42.9/24 on lo")
        self.assertEqual(self.leases("root", "--all"), [])
        self.assertEqual(self.up("alice", "--label", "other")["label"], "other")


class Reload(BusRing):
    def test_reload(self):
        """After a reload with a new reservation a lease that has the index stays; later no other lease gets it."""
        self.addCleanup(lambda: os.path.exists(CONFIGURATION) and os.unlink(CONFIGURATION))
        bobs = self.up("bob")
        index = bobs["taps"][0]["index"]
        with open(CONFIGURATION, "w", encoding="ascii") as file:
            file.write(f"reserve = alice web {index}\n")
        self.host.daemon.send(signal.SIGHUP)
        changed = f"reloaded: reserve nothing is alice web {index} now"
        kernel.wait_for(lambda: changed in self.host.daemon.log(), "the reload is in the log")
        self.assertEqual(self.leases("bob"), [bobs])
        self.assert_refused(self.ctl("alice", "up", "--label", "web"), 7, "web", bobs["taps"][0]["name"])
        self.ok("bob", "down", "--all")
        self.assertNotEqual(self.up("bob")["taps"], bobs["taps"])
        self.assertEqual(self.up("alice", "--label", "web")["taps"], bobs["taps"])


class RootsDown(BusRing):
    def test_own_label_first(self):
        """Root's `down web` ends root's own lease of that label; another user's needs more than the label."""
        mine, alices, bobs = (self.up(user, "--label", "web") for user in ("root", "alice", "bob"))
        self.ok("root", "down", "web")
        left = self.leases("root", "--all")
        self.assertEqual({lease["lease"] for lease in left}, {alices["lease"], bobs["lease"]})
        done = self.ctl("root", "down", "web")
        self.assert_refused(done, 2, alices["lease"], bobs["lease"], f"uid {users.USERS['alice']}",
                            f"uid {users.USERS['bob']}")
        self.assertNotIn(mine["lease"], done.err)
        self.ok("bob", "down", "web")
        self.ok("root", "down", "web")
        self.assertEqual(self.leases("root", "--all"), [])

    def test_label_like_a_tap(self):
        """A label that is the name of another user's tap does not prevent `down TAP`."""
        alices = self.up("alice")
        name = alices["taps"][0]["name"]
        bobs = self.up("bob", "--label", name)
        self.ok("root", "down", name)
        self.assertEqual(self.leases("root", "--all"), [bobs])
