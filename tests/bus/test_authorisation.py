# SPDX-License-Identifier: MIT
"""Authorisation with the shipped polkit actions and rule and a real polkitd: for which caller and action the service
asks, how often, and what it does while polkit does not answer (I7)."""

import time

import pytest

from tests.bus.ring import NO_LEASE, BusRing, error_name
from tests.lib import kernel, users
from tests.lib.bus import BusError, Variant

pytestmark = pytest.mark.early

CHECK = "org.freedesktop.PolicyKit1.Authority.CheckAuthorization"
AUTHORITY = "type='method_call',interface='org.freedesktop.PolicyKit1.Authority'"
LIMIT = 20  # seconds that the service waits for polkit
ALL = {"all": Variant("b", True)}


class Group(BusRing):
    def test_outside_the_group(self):
        """A user outside the group is refused with status 4 and an error that names the action and the group (I7)."""
        for verb in (("up",), ("up", "--count", "2", "--json"), ("run", "--", "true")):
            with self.subTest(verb=verb):
                self.assert_refused(self.ctl("dave", *verb), 4, "org.qemutap.acquire", "qemu-tap")
        self.host.no_trace()

    def test_joins_and_leaves(self):
        """Joining and leaving the group take effect with the next request."""
        users.set_members("dave")
        grant = self.up("dave")
        self.assert_refused(self.ctl("alice", "up"), 4, "org.qemutap.acquire", "qemu-tap")
        self.ok("dave", "down", grant["lease"])
        users.set_members()
        self.assert_refused(self.ctl("dave", "up"), 4, "org.qemutap.acquire", "qemu-tap")
        self.host.no_trace()

    def test_release_asks_too(self):
        """Releasing needs the same action as acquiring: a user taken out of the group cannot release a lease (I7)."""
        grant = self.up("alice")
        users.set_members()
        self.assert_refused(self.ctl("alice", "down", grant["lease"]), 4, "org.qemutap.acquire", "qemu-tap")
        self.assertEqual(self.leases("alice"), [grant])

    def test_root(self):
        """Root needs no polkit: without polkitd it acquires, lists all users' leases and releases any of them."""
        grant = self.up("alice")
        self.host.stop_polkit()
        mine = self.up("root")
        self.assert_grant(mine, "root", [9])
        self.assertEqual(self.leases("root", "--all"), [grant, mine])
        self.ok("root", "down", grant["lease"])
        self.ok("root", "down", mine["lease"])
        self.host.no_trace()


class Others(BusRing):
    def test_another_users_lease(self):
        """Another user's lease and a lease that does not exist get the same answer, word for word (I7)."""
        theirs = self.up("bob", "--label", "secret")
        real = self.ctl("alice", "down", theirs["lease"])
        none = self.ctl("alice", "down", NO_LEASE)
        self.assert_refused(none, 8, NO_LEASE)
        self.assertEqual((real.status, real.out, real.err.replace(theirs["lease"], NO_LEASE)),
                         (none.status, none.out, none.err))
        for name in ("secret", theirs["taps"][0]["name"]):
            self.assert_refused(self.ctl("alice", "down", name), 8, name)
            self.assert_refused(self.ctl("alice", "args", name), 8, name)
        self.assertEqual(self.leases("bob"), [theirs])

    def test_same_answer_on_the_bus(self):
        """Release gives another user's lease and a missing one the same NoSuchLease, also outside the group (I7)."""
        theirs = self.up("bob")["lease"]
        for user in ("alice", "dave"):
            with self.subTest(user=user), self.host.connect(user) as bus:
                answers = []
                for lease in (theirs, NO_LEASE):
                    with self.assertRaises(BusError) as caught:
                        self.call(bus, "Release", "s", lease)
                    answers.append((caught.exception.name, caught.exception.text.replace(lease, "ID")))
                self.assertEqual(answers[0], answers[1])
                self.assertEqual(answers[0][0], error_name("NoSuchLease"))
        self.assertEqual(len(self.leases("bob")), 1)

    def test_list_all(self):
        """`list --all` needs the action org.qemutap.manage: a group member is refused with status 4, root is served."""
        theirs = self.up("bob")
        self.assert_refused(self.ctl("alice", "list", "--all"), 4, "org.qemutap.manage")
        self.assert_refused(self.ctl("alice", "list", "--all", "--json"), 4, "org.qemutap.manage")
        self.assertEqual(self.leases("alice"), [])
        self.assertEqual(self.leases("root", "--all"), [theirs])


class Managers(BusRing):
    extra_rules = 'polkit.addRule(function(action, subject) { if (action.id == "org.qemutap.manage" && ' \
                  'subject.user == "dave") return polkit.Result.YES; });'

    def test_manager(self):
        """A user whom polkit grants org.qemutap.manage lists and releases all users' leases but cannot acquire."""
        grant = self.up("bob")
        self.assertEqual(self.leases("dave", "--all"), [grant])
        self.assertEqual(self.leases("dave"), [])
        self.assert_refused(self.ctl("dave", "up"), 4, "org.qemutap.acquire")
        self.ok("dave", "down", grant["lease"])
        self.host.no_trace()


class Asking(BusRing):
    """The service's questions to polkit, as a monitor on the bus sees them."""

    def questions(self, act):
        """The subject and action of each question to polkit while `act` ran."""
        return [(message.body[0][0], message.body[1]) for message in self.heard(act, AUTHORITY)
                if message.member == CHECK]

    def test_once_each(self):
        """The service asks polkit exactly once per request, with the caller's bus name and the right action."""
        held = []
        self.assertEqual(self.questions(lambda: held.append(self.up("alice"))),
                         [("system-bus-name", "org.qemutap.acquire")])
        with self.host.connect("alice") as bus:
            self.assertEqual(self.questions(lambda: self.call(bus, "Release", "s", held[0]["lease"])),
                             [("system-bus-name", "org.qemutap.acquire")])

    def test_not_asked(self):
        """The service does not ask polkit about a list of the caller's own leases, root, or an invalid request."""
        def act():
            self.leases("alice")
            self.ok("root", "down", self.up("root")["lease"])
            self.leases("root", "--all")
            with self.host.connect("alice") as bus:
                for count, options in ((0, {}), (17, {}), (1, {"no-such-key": Variant("s", "")})):
                    with self.assertRaises(BusError) as caught:
                        self.call(bus, "Acquire", "ua{sv}", count, options)
                    self.assertEqual(caught.exception.name, error_name("InvalidArgument"))
        self.assertEqual(self.questions(act), [])


class NoAnswer(BusRing):
    def test_no_polkit(self):
        """Without polkit every request that needs it fails with status 5, and nothing is made."""
        grant = self.up("alice")
        self.host.stop_polkit()
        for verb in (("up",), ("run", "--", "true"), ("down", grant["lease"]), ("list", "--all")):
            with self.subTest(verb=verb):
                self.assert_refused(self.ctl("alice", *verb), 5, "polkit")
        self.assertEqual(self.leases("alice"), [grant])
        self.assertEqual(list(kernel.ours()), ["tap8"])
        self.host.start_polkit()
        self.ok("alice", "down", grant["lease"])
        self.host.no_trace()

    def test_others_are_served(self):
        """While polkit is frozen with a question open, other users' lists and root's requests are answered."""
        theirs = self.up("bob")
        self.host.polkit.freeze()
        waiting = self.ctl_waiting("alice", "up", "--json")
        self.assertEqual(self.leases("bob"), [theirs])
        self.ok("root", "down", self.up("root")["lease"])
        # The question is still open: nothing that was answered has waited for polkit, or for the end of its time.
        self.assertIsNone(waiting.poll())
        self.host.polkit.thaw()
        out, err = waiting.communicate()
        self.assertEqual((waiting.returncode, err), (0, b""))
        self.assertIn(b'"lease"', out)

    def test_vanishing_caller(self):
        """A caller that is killed before polkit answers leaves nothing after the answer (I1, I9)."""
        for verb in (("up", "--count", "2"), ("run", "--count", "2", "--", "true")):
            with self.subTest(verb=verb):
                self.host.polkit.freeze()
                with self.host.connect() as ear:
                    ear.watch(AUTHORITY, "type='method_return'", "type='error'")
                    caller = self.host.ctl_start("alice", *verb)
                    question = ear.next(lambda message: message.member == CHECK)
                    caller.kill()
                    caller.communicate()
                    with self.host.connect() as bus:
                        bus.wait_for_owner(question.body[0][1]["name"], present=False)
                        self.host.polkit.thaw()
                        ear.next(lambda message: message.reply_to == question.serial
                                 and message.destination == question.sender)
                        # The daemon handles one connection in order: this answer proves that it has read polkit's.
                        self.call(bus, "List", "a{sv}", {})
                kernel.wait_for(lambda: not kernel.ours(), "the lease whose caller is gone ends")
                self.host.no_trace()

    def test_bounded(self):
        """Requests that wait for polkit are limited per user, and a user at the limit does not block others (I8)."""
        self.host.polkit.freeze()
        by_name = {"hold": Variant("s", "name")}
        # The bus allows one connection 128 open calls, so more calls need several connections.
        mine = [self.host.connect("alice") for _ in range(4)]
        for bus in mine:
            self.addCleanup(bus.close)
        calls = [[self.send(bus, "Acquire", "ua{sv}", 1, by_name) for _ in range(100)] for bus in mine]
        refused = []
        for bus, sent in zip(mine, calls):
            # The service answers in order: this answer proves that the refusals have arrived too.
            self.assertEqual(self.call(bus, "List", "a{sv}", {}), [[]])
            refused += [message.error_name for message in bus.waiting if message.reply_to in sent]
        self.assertEqual((len(refused), set(refused)), (400 - 128, {error_name("LimitExceeded")}))
        with self.host.connect("bob") as other:
            theirs = self.send(other, "Acquire", "ua{sv}", 1, by_name)
            self.assertEqual(self.call(other, "List", "a{sv}", {}), [[]])
            self.host.polkit.thaw()
            self.assertEqual(len(other.reply(theirs)[1]), 1)
        for bus, sent in zip(mine, calls):
            for serial in sent:
                bus.next(lambda message, serial=serial: message.reply_to == serial)
        self.assertLessEqual(sum(len(lease["taps"]) for lease in self.leases("alice")), 32)

    def test_queue_behind_no_answer(self):
        """When polkit's time limit ends for a user's first request, all requests that wait with it are answered."""
        self.host.polkit.freeze()
        with self.host.connect("alice", timeout=3 * LIMIT) as bus:
            calls = [("Acquire", "ua{sv}", 1, {}), ("Release", "s", NO_LEASE), ("List", "a{sv}", ALL)] * 3
            start = time.monotonic()
            sent = [self.send(bus, *call) for call in calls]
            answers = [bus.next(lambda message, serial=serial: message.reply_to == serial) for serial in sent]
            took = time.monotonic() - start
        self.assertEqual([answer.error_name for answer in answers], [error_name("AuthorityUnavailable")] * len(calls))
        # Each in its turn would take nine times the limit.
        self.assertTrue(LIMIT <= took < 2 * LIMIT, f"answered after {took:.1f} s")
        self.host.polkit.thaw()
        self.host.no_trace()

    def ctl_waiting(self, *arguments):
        """Starts a client and returns when its request has reached polkit."""
        with self.host.connect() as ear:
            ear.watch(AUTHORITY)
            popen = self.host.ctl_start(*arguments)
            self.addCleanup(self._end, popen)
            ear.next(lambda message: message.member == CHECK)
        return popen
