# SPDX-License-Identifier: MIT
"""Invalid calls on the bus itself, without a client that checks first: wrong types, unknown keys, wrong values, broken
messages. Each gets InvalidArgument with a text that names the mistake, changes nothing, and the daemon survives."""

import os

from tests.bus.ring import MANAGER, NO_LEASE, BusRing, error_name
from tests.lib import kernel
from tests.lib.bus import BusError, Disconnected, Variant

S, U, T, B = "s", "u", "t", "b"


class BadCalls(BusRing):
    def setUp(self):
        super().setUp()
        self.bus = self.host.connect("alice")
        self.addCleanup(self.bus.close)

    def refused(self, member, signature, *arguments, name="InvalidArgument", words=()):
        with self.assertRaises(BusError) as caught:
            self.call(self.bus, member, signature, *arguments)
        error = caught.exception
        self.assertEqual(error.name, error_name(name), error)
        self.assertTrue(error.text.isprintable(), f"not one readable line: {error.text!r}")
        self.assertLess(len(error.text), 1000)
        for word in words:
            self.assertIn(word, error.text)
        self.host.no_trace()
        return error.text

    def acquire_refused(self, count=1, words=(), **options):
        options = {key.replace("_", "-"): Variant(*value) for key, value in options.items()}
        return self.refused("Acquire", "ua{sv}", count, options, words=words)

    def test_counts(self):
        """Counts of 0, 33, 10,000 and 4294967295 are refused for both holds; 17 is refused for descriptors."""
        for hold in ("fd", "name"):
            for count in (0, 33, 10_000, 2**32 - 1):
                with self.subTest(hold=hold, count=count):
                    self.acquire_refused(count, words=(str(count),), hold=(S, hold))
        self.acquire_refused(17)
        self.acquire_refused(17, hold=(S, "fd"))
        self.acquire_refused(6, hold=(S, "fd"), queues=(U, 3))

    def test_values(self):
        """Every value out of its range is refused with an error that names its key."""
        for key, signature, value in (("hold", S, ""), ("hold", S, "both"), ("hold", S, "FD"), ("queues", U, 0),
                                      ("queues", U, 17), ("queues", U, 2**32 - 1), ("vhost", S, ""),
                                      ("vhost", S, "maybe"), ("label", S, ""), ("label", S, "a" * 64),
                                      ("label", S, "a" * 65), ("label", S, "a" * 10_000), ("label", S, "a\nb"),
                                      ("label", S, "\x1b[31m"), ("label", S, "$(x)"), ("label", S, "caf\u00e9"),
                                      ("label", S, "-rf"), ("label", S, "a b"), ("profile", S, ""), ("profile", S, "yocto")):
            with self.subTest(key=key, value=value):
                self.acquire_refused(words=(key,), **{key: (signature, value)})

    def test_idle_timeouts(self):
        """Idle timeouts of 0 and of more than a year are refused, and every idle timeout with descriptors."""
        for value in (0, 31_536_001, 2**64 - 1):
            with self.subTest(value=value):
                self.acquire_refused(words=("idle-timeout",), hold=(S, "name"), idle_timeout=(T, value))
        self.acquire_refused(words=("idle-timeout",), hold=(S, "fd"), idle_timeout=(T, 60))

    def test_attended_descriptors(self):
        """`attended` is for leases by name: it is refused with descriptors, which are the default."""
        self.acquire_refused(words=("attended", "name"), attended=(B, True))
        self.acquire_refused(words=("attended", "name"), hold=(S, "fd"), attended=(B, True))

    def test_vhost_by_name(self):
        """vhost needs descriptors: vhost `yes` with hold `name` is refused."""
        self.acquire_refused(words=("vhost",), hold=(S, "name"), vhost=(S, "yes"))

    def test_vnet_by_name(self):
        """`vnet` false is refused for leases by name, and together with vhost."""
        self.acquire_refused(words=("vnet",), hold=(S, "name"), vnet=(B, False))
        self.acquire_refused(words=("vnet", "vhost"), vhost=(S, "auto"), vnet=(B, False))

    def test_wrong_types(self):
        """A wrong type inside a variant is refused, for every key, with an error that names the key."""
        right = {"hold": S, "label": S, "queues": U, "vhost": S, "idle-timeout": T, "attended": B, "profile": S,
                 "interactive": B, "vnet": B}
        samples = ((S, "fd"), (U, 1), (T, 1), (B, True), ("i", 1), ("x", 1), ("q", 1), ("y", 1), ("d", 1.0),
                   ("o", "/x"), ("g", "s"), ("as", ["fd"]), ("a{sv}", {}), ("(s)", ("fd",)), ("v", Variant(S, "fd")),
                   ("ay", b""))
        for key, expected in right.items():
            for signature, value in samples:
                if signature != expected:
                    with self.subTest(key=key, signature=signature):
                        self.refused("Acquire", "ua{sv}", 1, {key: Variant(signature, value)}, words=(key,))
        for key in ("all", "interactive"):
            self.refused("List", "a{sv}", {key: Variant(S, "yes")}, words=(key,))

    def test_unknown_keys(self):
        """An unknown key is refused by name, however it is spelt, and also beside valid keys."""
        for key in ("holds", "Hold", "count", "", "idle_timeout", "all"):
            with self.subTest(key=key):
                self.refused("Acquire", "ua{sv}", 1, {"hold": Variant(S, "name"), key: Variant(S, "x")}, words=(key,))
        for key in ("\x1b[31m", "two\nlines", "k" * 10_000, "caf\u00e9"):
            with self.subTest(key=key[:10]):
                self.refused("Acquire", "ua{sv}", 1, {key: Variant(U, 1)})
        self.refused("List", "a{sv}", {"everyone": Variant(B, True)}, words=("everyone",))
        self.refused("Acquire", "ua{sv}", 1, {f"k{number}": Variant(U, 1) for number in range(5000)})

    def test_lease_ids(self):
        """A malformed lease id gets the same answer as a lease that does not exist (I7)."""
        texts = {self.refused("Release", "s", lease, name="NoSuchLease").replace(lease, "ID")
                 for lease in (NO_LEASE, "f" * 16, "0" * 16)}
        self.assertEqual(len(texts), 1)
        for lease in ("", "tap8", NO_LEASE.upper(), NO_LEASE + "0", "\x1b[31m", "a\nb", "x" * 10_000, "$(x)"):
            with self.subTest(lease=lease[:20]):
                self.refused("Release", "s", lease, name="NoSuchLease")

    def test_wrong_signatures(self):
        """A call with wrong arguments, or of a method that does not exist, is an error and changes nothing."""
        for member, signature, arguments in (("Acquire", "", ()), ("Acquire", "s", ("1",)), ("Acquire", "i", (1,)),
                                             ("Acquire", "ia{sv}", (1, {})), ("Acquire", "ua{ss}", (1, {})),
                                             ("Release", "", ()), ("Release", "o", ("/x",)), ("List", "", ()),
                                             ("List", "as", ([],)), ("AcquireV2", "ua{sv}", (1, {}))):
            with self.subTest(member=member, signature=signature), self.assertRaises(BusError):
                self.call(self.bus, member, signature, *arguments)
        self.host.no_trace()

    def test_broken_text(self):
        """The bus disconnects a sender of text that is not UTF-8; the daemon is not affected."""
        with self.host.connect("alice") as bus, self.assertRaises(Disconnected):
            self.call(bus, "Acquire", "ua{sv}", 1, {"label": Variant(S, b"caf\xe9")})
        self.assertEqual(self.call(self.bus, "List", "a{sv}", {}), [[]])
        self.host.no_trace()

    def tearDown(self):
        self.assertTrue(self.host.daemon.alive(), "the daemon has ended")
        self.assertEqual(self.leases("alice"), [])


class ByBusctl(BusRing):
    """The same mistakes with busctl, the tool that users have."""

    def busctl(self, member, *arguments, user="alice"):
        return self.host.busctl(user, "call", *MANAGER, member, *arguments)

    def test_refusals(self):
        """`busctl call` gets one readable error for an unknown key, a wrong type, a bad value and a bad lease."""
        for arguments, word in ((("Acquire", "ua{sv}", "1", "1", "colour", "s", "red"), "colour"),
                                (("Acquire", "ua{sv}", "1", "1", "hold", "u", "1"), "hold"),
                                (("Acquire", "ua{sv}", "1", "1", "queues", "s", "two"), "queues"),
                                (("Acquire", "ua{sv}", "0", "0"), "0"),
                                (("Acquire", "ua{sv}", "10000", "1", "hold", "s", "name"), "10000"),
                                (("Acquire", "ua{sv}", "17", "0"), "17"),
                                (("Release", "s", NO_LEASE), NO_LEASE)):
            with self.subTest(arguments=arguments):
                done = self.busctl(*arguments)
                self.assertEqual((done.status, done.out), (1, ""), done)
                self.assertEqual(done.err.count("\n"), 1, done)
                self.assertIn(word, done.err)
                self.host.no_trace()

    def test_acquire_and_release(self):
        """`busctl call` can acquire by name and release, so scripts need no client of this project."""
        done = self.busctl("Acquire", "ua{sv}", "1", "1", "hold", "s", "name")
        self.assertEqual((done.status, done.err), (0, ""))
        words = done.out.split()
        self.assertEqual((words[0], words[-1]), ("saa{sv}ah", "0"))
        self.assertIn('"tap8"', words)
        self.assertEqual(self.busctl("Release", "s", words[1].strip('"')).status, 0)
        self.host.no_trace()

    def test_properties(self):
        """Every user can read Version, Pool, PrefixLength and Features; no user, not even root, can write them."""
        for name, value in (("Pool", 's "192.168.0.0/16"\n'), ("PrefixLength", "u 24\n")):
            done = self.host.busctl("dave", "get-property", *MANAGER, name)
            self.assertEqual((done.status, done.out), (0, value), done)
        for name, form in (("Version", r'\As "[0-9]+\.[0-9.]+"\n\Z'), ("Features", r'\Aas [0-9]+( "[a-z-]+")*\n\Z')):
            self.assertRegex(self.host.busctl("dave", "get-property", *MANAGER, name).out, form)
        for user in ("dave", "root"):
            self.assertNotEqual(self.host.busctl(user, "set-property", *MANAGER, "Pool", "s", "10.0.0.0/8").status, 0)

    def test_policy(self):
        """Under the shipped bus policy a user cannot own the name, and reaches the service's members only."""
        with self.host.connect("alice") as bus:
            with self.assertRaises(BusError) as caught:
                bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.RequestName", "su",
                         MANAGER[0], 0)
            self.assertEqual(caught.exception.name, "org.freedesktop.DBus.Error.AccessDenied")
            with self.assertRaises(BusError) as caught:
                bus.call(*MANAGER[:2], "org.freedesktop.DBus.ObjectManager.GetManagedObjects")
            self.assertEqual(caught.exception.name, "org.freedesktop.DBus.Error.AccessDenied")
            bus.call(*MANAGER[:2], "org.freedesktop.DBus.Peer.Ping")
            (text,) = bus.call(*MANAGER[:2], "org.freedesktop.DBus.Introspectable.Introspect")
            self.assertIn('interface name="org.qemutap1.Manager"', text)


class Answers(BusRing):
    def test_acquire_by_name(self):
        """Acquire with hold `name` answers with exactly the documented keys and types and no descriptor."""
        with self.host.connect("alice") as bus:
            lease, taps, fds = self.call(bus, "Acquire", "ua{sv}", 2, {"hold": Variant(S, "name")})
            self.assertRegex(lease, r"\A[0-9a-f]{16}\Z")
            self.assertEqual(fds, [])
            self.assertEqual(taps, wire_taps(self.expected_taps({"taps": taps}, [8, 9])))
            (leases,) = self.call(bus, "List", "a{sv}", {})
            self.assertEqual(leases, [{"lease": lease, "label": "", "uid": 64101, "hold": "name", "idle-timeout": 0,
                                       "attended": False, "taps": taps}])
            self.assertEqual(self.call(bus, "Release", "s", lease), [])
        self.host.no_trace()

    def test_acquire_default(self):
        """Without options the hold is `fd`: one descriptor per tap, and closing the last one ends the lease."""
        with self.host.connect("alice") as bus:
            lease, taps, fds = self.call(bus, "Acquire", "ua{sv}", 3, {})
            self.assertEqual((len(taps), len(fds)), (3, 3))
            (leases,) = self.call(bus, "List", "a{sv}", {})
            self.assertEqual([(entry["lease"], entry["hold"]) for entry in leases], [(lease, "fd")])
            close(fds)
        kernel.wait_for(lambda: not kernel.ours(), "the lease ends with its descriptors")
        self.host.no_trace()

    def test_unread_answer(self):
        """A caller that never reads its answer holds no lease once its connection is closed (I1)."""
        with self.host.connect("alice") as bus:
            serial = self.send(bus, "Acquire", "ua{sv}", 4, {})
            kernel.wait_for(kernel.present("tap8", "tap9", "tap10", "tap11"), "the request is served")
            self.assertGreater(serial, 0)
        kernel.wait_for(lambda: not kernel.ours(), "the lease ends with its descriptors")
        self.host.no_trace()


def wire_taps(taps):
    """Taps with the keys of the bus, which are spelt with dashes."""
    return [{key.replace("_", "-"): value for key, value in tap.items()} for tap in taps]


def close(descriptors):
    for descriptor in descriptors:
        os.close(descriptor)
