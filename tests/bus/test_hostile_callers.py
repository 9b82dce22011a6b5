# SPDX-License-Identifier: MIT
"""Hostile callers (I8): whatever users without any right send, the daemon's descriptors, memory and log stay bounded,
and no other user waits for them. Most tests freeze polkit, because the daemon then has to keep what it was sent."""

import os
import socket
from collections import Counter

import pytest

from tests.bus.hostile import ASKING, BY_NAME, PRESENT, PRESENT_IN_ALL, PROMPTS, PROMPTS_IN_ALL, HostileCallers
from tests.bus.ring import MANAGER, NO_LEASE, error_name
from tests.lib import users
from tests.lib.bus import CALL, DESCRIPTORS, DESTINATION, ERROR, MEMBER, MEMBER_OF, PATH, SIGNAL, SIGNATURE, Variant
from tests.lib.host import BUS_POLICY
from tests.lib.wire import Encoder

pytestmark = pytest.mark.early

NO_ID = "x" * 1_000_000
BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus")


class Descriptors(HostileCallers):
    @staticmethod
    def send_with(bus, descriptors, member, signature, *arguments):
        """Sends a call that carries descriptors which its arguments do not mention."""
        body = Encoder().values(signature, arguments).body
        fields = [(PATH, Variant("o", MANAGER[1])), (MEMBER_OF, Variant("s", MANAGER[2])),
                  (MEMBER, Variant("s", member)), (DESTINATION, Variant("s", MANAGER[0])),
                  (SIGNATURE, Variant("g", signature)), (DESCRIPTORS, Variant("u", len(descriptors)))]
        head = Encoder().values("yyyyuua(yv)", (ord("l"), CALL, 0, 1, len(body), next(bus.serials), fields))
        head.align(8)
        socket.send_fds(bus.socket, [bytes(head.body + body)], descriptors)

    def test_stray(self):
        """110 calls with 16 stray descriptors each leave the daemon over 900 of its 1024; others are served (I8)."""
        self.host.daemon.limit_descriptors(1024, 1024)
        self.host.polkit.freeze()
        bus = self.connect("dave")
        with open("/dev/null", "rb") as null:
            for _ in range(110):
                self.send_with(bus, [null.fileno()] * 16, "Acquire", "ua{sv}", 1, {})
        self.settled(bus)
        self.assertLess(len(os.listdir(f"/proc/{self.host.daemon.pid}/fd")), 100)
        self.assertEqual(self.leases("bob"), [])
        self.host.polkit.thaw()
        self.assert_grant(self.up("bob"), "bob", [8])


class OwnConnections(HostileCallers):
    def own_names(self):
        """The unique names of all the daemon's connections, which any user can read."""
        with self.host.connect("dave") as bus:
            names = [name for name in bus.call(*BUS, f"{BUS[0]}.ListNames")[0] if name.startswith(":")]
            return [name for name in names if name != bus.name
                    and bus.call(*BUS, f"{BUS[0]}.GetConnectionUnixProcessID", "s", name) == [self.host.daemon.pid]]

    @staticmethod
    def send_signals(bus, name, count, size):
        body = Encoder().values("s", ("x" * size,)).body
        fields = [(PATH, Variant("o", "/x")), (MEMBER_OF, Variant("s", "x.x")), (MEMBER, Variant("s", "X")),
                  (DESTINATION, Variant("s", name)), (SIGNATURE, Variant("g", "s"))]
        head = Encoder().values("yyyyuua(yv)", (ord("l"), SIGNAL, 1, 1, len(body), next(bus.serials), fields))
        head.align(8)
        bus.socket.sendall((head.body + body) * count)


class Memory(OwnConnections):
    options = None

    def setUp(self):
        super().setUp()
        # A sanitizer keeps freed memory for a while, which must not count here.
        sanitizer = os.environ.get("ASAN_OPTIONS", "")
        self.host.start_daemon(environment={"ASAN_OPTIONS": f"{sanitizer}:quarantine_size_mb=1"})
        self.before = self.memory("VmHWM")
        self.host.polkit.freeze()

    def test_no_lease_ids(self):
        """200 MB of malformed lease ids get NoSuchLease at once and are not kept; others are served meanwhile (I8)."""
        connections, bob, sent = self.connections("dave", 20), self.connect("bob"), []
        for _ in range(10):
            sent += [(bus, self.send(bus, "Release", "s", NO_ID)) for bus in connections]
            self.settled(bob)
        self.settled(*connections)
        self.assertLess(self.memory("VmHWM") - self.before, 200)
        names = sum((self.errors(bus, [serial]) for bus, serial in sent), Counter())
        self.assertEqual(names, {error_name("NoSuchLease"): 200})

    def test_new_callers(self):
        """100 MB of queued calls of callers not seen before are read one by one, not all at once (I8)."""
        connections = self.connections("dave", 20)
        self.host.daemon.freeze()
        for bus in connections:
            self.send(bus, "List", "a{sv}", {})
            for _ in range(5):
                self.send(bus, "Release", "s", NO_ID)
        self.host.daemon.thaw()
        self.settled(*connections)
        self.assertLess(self.memory("VmHWM") - self.before, 50)

    def test_signals(self):
        """40 MB of small signals to each of the daemon's connections are not kept while it asks for a uid (I8)."""
        bus, names = self.connect("dave"), self.own_names()
        self.assertEqual(len(names), 2)
        self.host.daemon.freeze()
        for name in names:
            self.send_signals(bus, name, 40_000, 1000)
        bus.call(*BUS, f"{BUS[0]}.GetId")
        self.host.daemon.thaw()
        self.settled(self.connect("bob"))
        self.assertLess(self.memory("VmHWM") - self.before, 50)


class Asking(OwnConnections):
    def limit_connections(self, root):
        """Makes the bus refuse further connections until the returned function is called."""
        with open(f"{BUS_POLICY}/zz-limit.conf", "w", encoding="ascii") as file:
            file.write('<busconfig><limit name="max_connections_per_user">1</limit></busconfig>')

        def end():
            if os.path.exists(file.name):
                os.remove(file.name)
                root.call(*BUS, f"{BUS[0]}.ReloadConfig")

        self.addCleanup(end)
        root.call(*BUS, f"{BUS[0]}.ReloadConfig")
        return end

    def test_no_further_connection(self):
        """A foreign message on the connection for uid queries, and no further connection, fail only that request.
        The daemon drops the connection and survives. Once the bus gives it another, requests are served again (I8)."""
        root, dave, bob = self.connect("root"), self.connect("dave"), self.connect("bob")
        (asking,) = {*self.own_names()} - {root.owner_of(MANAGER[0])}
        end = self.limit_connections(root)
        self.send_signals(dave, asking, 1, 10)
        dave.call(*BUS, f"{BUS[0]}.GetId")
        for _ in range(2):
            self.assertEqual(self.errors(bob, [self.send(bob, "List", "a{sv}", {})]), {error_name("Failed"): 1})
        self.assertTrue(self.host.daemon.alive())
        end()
        self.settled(bob)
        self.assertIsNone(root.owner_of(asking), "the connection that others write to is closed")


class Limits(HostileCallers):
    def refusal(self, bus):
        """The text of the LimitExceeded with which one more request is refused at once."""
        serials = self.acquire(bus, 1)
        self.settled(bus)
        answers = self.answers(bus, serials)
        self.assertEqual([answer.error_name for answer in answers], [error_name("LimitExceeded")])
        return answers[0].body[0]

    def test_present_per_user(self):
        """A user's 129th waiting request is refused with number and uid; another user's still waits for polkit (I8)."""
        self.host.polkit.freeze()
        mine, theirs = self.connections("alice", 2), self.connect("bob")
        accepted = [self.acquire(bus, PRESENT // 2) for bus in mine]
        self.settled(*mine)
        self.assertEqual([self.answers(*pair) for pair in zip(mine, accepted)], [[], []])
        text = self.refusal(self.connect("alice"))
        for word in (str(PRESENT), "64101"):
            self.assertIn(word, text)
        serials = self.acquire(theirs, 1)
        self.settled(theirs)
        self.assertEqual(self.answers(theirs, serials), [])
        self.host.polkit.thaw()
        self.assertEqual(len(theirs.reply(*serials)[1]), 1)
        answers = [bus.next(lambda message, serial=serial: message.reply_to == serial)
                   for bus, serials in zip(mine, accepted) for serial in serials]
        refused = Counter(answer.error_name for answer in answers if answer.kind == ERROR)
        self.assertEqual(refused, {error_name("LimitExceeded"): PRESENT - 32})
        self.assertEqual(len(self.leases("alice")), 32)

    def test_four_users(self):
        """Four users with as many requests as they can have do not delay a fifth (I8)."""
        self.host.polkit.freeze()
        *greedy, fifth = self.strangers(5)
        for user in greedy:
            connections = self.connections(user, 3)
            sent = [self.acquire(bus, 100) for bus in connections]
            self.settled(*connections)
            refused = Counter(answer.error_name for pair in zip(connections, sent) for answer in self.answers(*pair))
            self.assertEqual(refused, {error_name("LimitExceeded"): 300 - PRESENT})
        bus = self.connect(fifth)
        serials = self.acquire(bus, 1)
        self.settled(bus)
        self.assertEqual(self.answers(bus, serials), [])

    def test_present_in_all(self):
        """With 1024 waiting requests the next user's is refused with a text of its own; lists are answered (I8)."""
        self.host.polkit.freeze()
        *greedy, late = self.strangers(PRESENT_IN_ALL // PRESENT + 1)
        for user in greedy:
            for bus in self.connections(user, 2):
                serials = self.acquire(bus, PRESENT // 2)
                self.settled(bus)
                self.assertEqual(self.answers(bus, serials), [])
        text = self.refusal(self.connect(late))
        self.assertIn("all users", text)
        self.assertNotIn(str(users.USERS[late]), text)
        self.assertEqual(self.leases("bob"), [])


class Prompts(HostileCallers):
    def setUp(self):
        super().setUp()
        self.agent = self.silent_agent()

    def prompts(self, count):
        """Waits until so many prompts are open, and checks that there are no more."""
        self.prompts_opened(self.agent, count)
        # polkit answers in order: a prompt requested before this request would be open before its answer.
        self.ok("bob", "down", self.up("bob")["lease"])
        self.agent.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.GetId")
        self.assertEqual([message.member for message in self.agent.waiting if message.kind == CALL], [])

    def test_per_user(self):
        """Of a user's 10 prompts one is open at a time and delays nothing else; when it ends all are answered (I8)."""
        prompting, plain = self.connect("dave"), self.connect("dave")
        serials = self.acquire(prompting, 10, ASKING)
        self.prompts(PROMPTS)
        self.assertEqual(self.errors(plain, self.acquire(plain, 1)), {error_name("NotAuthorized"): 1})
        self.settled(prompting)
        self.assertEqual(self.answers(prompting, serials), [])
        self.agent.close()
        self.assertEqual(self.errors(prompting, serials), {error_name("NotAuthorized"): 10})
        self.host.no_trace()

    def test_in_all(self):
        """At most 48 prompts of all users are open at once, and requests without a prompt are served (I8)."""
        for user in self.strangers(PROMPTS_IN_ALL // PROMPTS + 3):
            bus = self.connect(user)
            self.acquire(bus, PROMPTS, ASKING)
            self.settled(bus)
        self.prompts(PROMPTS_IN_ALL)


class Vanished(HostileCallers):
    def test_no_log_lines(self):
        """Callers that leave before they are read (200 calls) or before polkit answers (100) are not logged (I8)."""
        self.call_and_vanish(self.host.daemon, 50, 4)
        self.call_and_vanish(self.host.polkit, 100, 1)
        self.host.no_trace()
        lines = self.host.daemon.log().splitlines()
        self.assertTrue(lines[0].startswith("qemu-tapd: info: serving pool"), lines[0])
        others = [line for line in lines if not line.startswith("qemu-tapd: info: ")]
        self.assertEqual((len(others), others[:1]), (0, []))

    def call_and_vanish(self, frozen, calls, connections):
        """Makes callers leave while `frozen` is frozen; returns when the daemon has handled their calls."""
        everyone = {"all": Variant("b", True)}
        kinds = (("Acquire", "ua{sv}", 1, BY_NAME), ("Release", "s", NO_LEASE), ("List", "a{sv}", everyone))
        with self.host.connect() as watcher:
            frozen.freeze()
            for _ in range(connections):
                with self.host.connect("alice") as bus:
                    for number in range(calls):
                        self.send(bus, *kinds[number % 3])
                    if frozen is self.host.polkit:
                        self.settled(bus)
                # The bus forwards all that a caller has sent before it announces that the caller has left.
                watcher.wait_for_owner(bus.name, present=False)
            frozen.thaw()
            # polkit gets one user's requests in order, so this one comes after all of them.
            with self.host.connect("alice") as bus:
                self.errors(bus, [self.send(bus, "Release", "s", NO_LEASE)])
            self.assertEqual(self.call(watcher, "List", "a{sv}", everyone), [[]])
