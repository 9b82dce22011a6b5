# SPDX-License-Identifier: MIT
"""The largest messages that the bus forwards, from a user without any right. Each costs the service no more memory than
the message itself and a small part of the bus's own time, and delays no other user (I8)."""

import os
import statistics
import struct
import threading
import time

import pytest

from tests.bus.ring import MANAGER, NO_LEASE, BusRing, error_name
from tests.lib.bus import BUS, CALL, ERROR, SIGNAL, BusError, Variant
from tests.lib.wire import Encoder

pytestmark = pytest.mark.alone

MIB = 1 << 20
# The bus refuses a message of 32 MiB, its header included.
LARGE = 30 * MIB
ALLOWED = 2 * MIB
ENTRIES = 1_200_000
PROPERTIES, INTROSPECTABLE, PEER = (f"org.freedesktop.DBus.{name}" for name in ("Properties", "Introspectable", "Peer"))
SERVICE, OBJECT, INTERFACE = MANAGER
TEXT = b"x" * LARGE
# How long another user's request may take beside a large call: so many seconds longer than the bus itself takes, or a
# multiple of the bus's time or of the request's time alone, which the test measures.
LATENCY, FACTOR = 0.1, 5


def encoded(signature, *values):
    return bytes(Encoder().values(signature, values).body)


def dictionary(entries, before=b""):
    """An a{sv} that follows `before`, of entries that are already encoded."""
    body = before + struct.pack("<I", len(entries))
    return body + bytes(-len(body) % 8) + entries


def entries_of(keys, value):
    """Entries with keys of seven letters; `value` is the encoded variant from the byte after the key's end."""
    padding = bytes(-(4 + 8 + len(value)) % 8)
    return (value + padding).join(b"\7\0\0\0" + key + b"\0" for key in keys) + value


def one_entry(key, value):
    return encoded("a{sv}", {key: value})[8:]


COUNT = struct.pack("<I", 1)
NUMBERED = entries_of((b"%07x" % number for number in range(ENTRIES)), b"\1y\0\1")
REPEATED = entries_of((b"columns" for _ in range(ENTRIES)), b"\1b\0\0" + struct.pack("<I", 1))
NESTED = Variant("av", [Variant("s", "x" * 20)] * 200_000)

# For each case: name, member, signature, body and error (None: any answer is right).
INVALID = error_name("InvalidArgument")
CASES = (
    ("List, unknown keys", f"{INTERFACE}.List", "a{sv}", dictionary(NUMBERED), INVALID),
    ("List, a repeated key", f"{INTERFACE}.List", "a{sv}", dictionary(REPEATED), INVALID),
    ("List, a long key", f"{INTERFACE}.List", "a{sv}", dictionary(one_entry(TEXT, Variant("b", True))), INVALID),
    ("List, a nested value", f"{INTERFACE}.List", "a{sv}", dictionary(one_entry("all", NESTED)), INVALID),
    ("List, a long text for a boolean key", f"{INTERFACE}.List", "a{sv}",
     dictionary(one_entry("all", Variant("s", TEXT))), INVALID),
    ("Acquire, unknown keys", f"{INTERFACE}.Acquire", "ua{sv}", dictionary(NUMBERED, COUNT), INVALID),
    ("Acquire, a long label", f"{INTERFACE}.Acquire", "ua{sv}",
     dictionary(one_entry("label", Variant("s", TEXT)), COUNT), INVALID),
    ("Acquire, a long hold", f"{INTERFACE}.Acquire", "ua{sv}",
     dictionary(one_entry("hold", Variant("s", TEXT)), COUNT), INVALID),
    ("Acquire, a nested label", f"{INTERFACE}.Acquire", "ua{sv}",
     dictionary(one_entry("label", NESTED), COUNT), INVALID),
    ("Acquire, another signature", f"{INTERFACE}.Acquire", "ss", encoded("ss", TEXT, ""), None),
    ("Release", f"{INTERFACE}.Release", "s", encoded("s", TEXT), None),
    ("Release, an array", f"{INTERFACE}.Release", "as", encoded("as", [TEXT]), None),
    ("Get, interface", f"{PROPERTIES}.Get", "ss", encoded("ss", TEXT, "Pool"), None),
    ("Get, property", f"{PROPERTIES}.Get", "ss", encoded("ss", INTERFACE, TEXT), None),
    ("GetAll", f"{PROPERTIES}.GetAll", "s", encoded("s", TEXT), None),
    ("Set, interface", f"{PROPERTIES}.Set", "ssv", encoded("ssv", TEXT, "Pool", Variant("s", "")), None),
    ("Set, property", f"{PROPERTIES}.Set", "ssv", encoded("ssv", INTERFACE, TEXT, Variant("s", "")), None),
    ("Set, value", f"{PROPERTIES}.Set", "ssv", encoded("ssv", INTERFACE, "Pool", Variant("s", TEXT)), None),
    ("Introspect", f"{INTROSPECTABLE}.Introspect", "s", encoded("s", TEXT), None),
    ("Ping", f"{PEER}.Ping", "s", encoded("s", TEXT), None),
    ("GetMachineId", f"{PEER}.GetMachineId", "s", encoded("s", TEXT), None),
    ("GetManagedObjects", "org.freedesktop.DBus.ObjectManager.GetManagedObjects", "s", encoded("s", TEXT), None),
    ("an unknown method", f"{INTERFACE}.NoSuchMethod", "s", encoded("s", TEXT), None),
    ("an unknown interface", "org.example.No.Such", "s", encoded("s", TEXT), None),
)


class LargeCalls(BusRing):
    def send(self, bus, member, signature, body, path=OBJECT, kind=CALL):
        """Sends a body that is already encoded; returns the serial of the call."""
        serial = next(bus.serials)
        interface, _, method = member.rpartition(".")
        fields = [(1, Variant("o", path)), (2, Variant("s", interface)), (3, Variant("s", method)),
                  (6, Variant("s", SERVICE)), (8, Variant("g", signature))]
        head = Encoder().values("yyyyuua(yv)", (ord("l"), kind, 0, 1, len(body), serial, fields))
        head.align(8)
        bus.socket.sendall(head.body)
        bus.socket.sendall(body)
        return serial

    def answer(self, bus, serial):
        return bus.next(lambda message: message.reply_to == serial, timeout=120)

    def assert_within(self, figure, bound):
        """Under a sanitizer only the answers count: it keeps freed memory and slows the service down."""
        if "ASAN_OPTIONS" not in os.environ:
            self.assertLessEqual(figure, bound)

    def memory(self, name):
        """VmRSS or VmHWM of the service, in bytes."""
        with open(f"/proc/{self.host.daemon.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1]) * 1024
        raise AssertionError(f"no {name}")

    def reset_peak(self):
        with open(f"/proc/{self.host.daemon.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")

    def warm_up(self, bus):
        """Calls each method once, so that memory that the service allocates only once does not count."""
        for member, signature, values in ((f"{INTERFACE}.List", "a{sv}", [{}]), (f"{PROPERTIES}.GetAll", "s", ["x"]),
                                          (f"{INTERFACE}.List", "a{sv}", [{"x": Variant("s", "")}]),
                                          (f"{INTERFACE}.Release", "s", [NO_LEASE]),
                                          (f"{INTROSPECTABLE}.Introspect", "", [])):
            self.answer(bus, bus.send(SERVICE, OBJECT, member, signature, *values))

    def settled(self, bus):
        """Returns when the service has handled all earlier messages."""
        self.answer(bus, bus.send(SERVICE, OBJECT, f"{INTERFACE}.List", "a{sv}", {}))

    def assert_bounded(self, cases):
        for name, member, signature, body, error in cases:
            # A fresh service for each case: memory kept from an earlier case would hide the growth of this one.
            self.host.restart_daemon()
            with self.subTest(call=name), self.host.connect("dave") as bus:
                self.warm_up(bus)
                idle = self.memory("VmRSS")
                self.reset_peak()
                message = self.answer(bus, self.send(bus, member, signature, body))
                peak = self.memory("VmHWM") - idle
                self.settled(bus)
                kept = self.memory("VmRSS") - idle
                print(f"{name}: {len(body) / MIB:.1f} MiB, peak {peak / MIB:.1f}, kept {kept / MIB:.1f}")
                if error:
                    self.assertEqual((message.kind, message.error_name), (ERROR, error), message.body)
                if message.kind == ERROR:
                    self.assertLess(len(message.body[0]), 500)
                self.assert_within(peak, len(body) + ALLOWED)
                self.assert_within(kept, ALLOWED)
        self.host.no_trace()

    def test_options(self):
        """For any options the service's peak is the message and 2 MiB, and then the memory is released (I8)."""
        self.assert_bounded(case for case in CASES if case[2].endswith("a{sv}"))

    def test_other_arguments(self):
        """The same bound holds for every other method, including those that sd-bus itself answers (I8)."""
        self.assert_bounded(case for case in CASES if not case[2].endswith("a{sv}"))

    def test_given_back(self):
        """No memory is kept after large messages of different lengths, though malloc adapts its thresholds."""
        with self.host.connect("dave") as bus:
            self.warm_up(bus)
            idle = self.memory("VmRSS")
            for length in (30, 20, 5, 25, 1, 30, 12):
                self.answer(bus, self.send(bus, f"{INTERFACE}.Release", "s", encoded("s", b"x" * (length * MIB))))
                self.settled(bus)
                with self.subTest(after=length):
                    kept = self.memory("VmRSS") - idle
                    print(f"after {length} MiB: {kept / MIB:.1f} MiB more than at first")
                    self.assert_within(kept, ALLOWED)

    def test_long_path(self):
        """The same bound holds for a long object path, which no argument limits, in every kind of call."""
        for path in (b"/" + b"x" * LARGE, OBJECT.encode() + b"/x" * (LARGE // 2), b"/" + b"y" * 60000):
            for member, signature, body in ((f"{INTERFACE}.List", "a{sv}", dictionary(b"")),
                                            (f"{PROPERTIES}.GetAll", "s", encoded("s", INTERFACE)),
                                            (f"{INTROSPECTABLE}.Introspect", "", b""), (f"{PEER}.Ping", "", b"")):
                with self.subTest(path=len(path), member=member), self.host.connect("dave") as bus:
                    self.warm_up(bus)
                    self.reset_peak()
                    before = self.memory("VmRSS")
                    self.send(bus, member, signature, body, path=path)
                    self.settled(bus)
                    self.assert_within(self.memory("VmHWM") - before, len(path) + ALLOWED)

    def test_signals(self):
        """The same bound holds for signals, including NameOwnerChanged."""
        for signature, body in (("s", encoded("s", TEXT)), ("sss", encoded("sss", TEXT, "x", "")),
                                ("a{sv}", dictionary(NUMBERED))):
            with self.subTest(signature=signature), self.host.connect("dave") as bus:
                self.warm_up(bus)
                self.reset_peak()
                before = self.memory("VmRSS")
                self.send(bus, f"{BUS[2]}.NameOwnerChanged", signature, body, path=BUS[1], kind=SIGNAL)
                self.settled(bus)
                self.assert_within(self.memory("VmHWM") - before, len(body) + ALLOWED)

    def test_nothing_waits_with_it(self):
        """Large calls in quick succession, whose sender reads nothing, are never held in memory together."""
        with self.host.connect("dave") as bus, self.host.connect("bob") as other:
            self.warm_up(bus)
            self.reset_peak()
            before = self.memory("VmRSS")
            for _ in range(8):
                self.send(bus, f"{INTERFACE}.Acquire", "ua{sv}",
                          dictionary(one_entry("label", Variant("s", TEXT)), COUNT))
            self.settled(other)
            self.settled(bus)
            self.assert_within(self.memory("VmHWM") - before, LARGE + ALLOWED)

    def cpu(self, process):
        """The processor time of the process in seconds."""
        with open(f"/proc/{process.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0]) / 1e9

    def test_time(self):
        """1.2 million options cost the service a small part of the time that they cost the bus."""
        with self.host.connect("dave") as bus:
            self.warm_up(bus)
            for name, body in (("unknown", NUMBERED), ("repeated", REPEATED)):
                with self.subTest(keys=name):
                    before = self.cpu(self.host.bus), self.cpu(self.host.daemon)
                    self.answer(bus, self.send(bus, f"{INTERFACE}.List", "a{sv}", dictionary(body)))
                    of_bus, own = (self.cpu(process) - since for process, since in
                                   zip((self.host.bus, self.host.daemon), before))
                    print(f"{name} keys: the bus {of_bus * 1000:.0f} ms, the service {own * 1000:.0f} ms")
                    self.assert_within(own, of_bus / 2)

    def test_others_are_served(self):
        """While such a message is handled, another user's List waits hardly longer than for the bus itself."""
        listing = (*MANAGER[:2], f"{INTERFACE}.List", "a{sv}", {})
        # The control takes the same way through the bus, to a service that does not get the large message.
        ping = ("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", f"{PEER}.Ping")
        body = dictionary(NUMBERED)
        worst, control = [], []
        with self.host.connect("bob", timeout=60) as lister, self.host.connect("bob", timeout=60) as pinger, \
                self.host.connect("dave", timeout=60) as bus:
            idle = statistics.median(self.slowest(lister, listing, lambda: False) for _ in range(50))
            for _ in range(8):
                attacker = threading.Thread(
                    target=lambda: self.answer(bus, self.send(bus, f"{INTERFACE}.List", "a{sv}", body)))
                both = [threading.Thread(target=lambda times=times, client=client, call=call: times.append(
                    self.slowest(client, call, attacker.is_alive)))
                        for times, client, call in ((worst, lister, listing), (control, pinger, ping))]
                for thread in (attacker, *both):
                    thread.start()
                for thread in (attacker, *both):
                    thread.join()
        print(f"List: idle {idle * 1000:.1f} ms, worst of each round {[round(one * 1000) for one in worst]} ms; "
              f"polkit: {[round(one * 1000) for one in control]} ms")
        self.assertEqual((len(worst), len(control)), (8, 8))
        of_bus = statistics.median(control)
        self.assert_within(statistics.median(worst), max(of_bus + LATENCY, FACTOR * of_bus, FACTOR * idle))

    @staticmethod
    def slowest(client, call, going_on):
        """The longest time of calls made one after the other; it makes at least one."""
        times = []
        while not times or going_on():
            start = time.monotonic()
            client.call(*call)
            times.append(time.monotonic() - start)
        return max(times)


class Limits(BusRing):
    """The texts of the refusals."""

    def refusal(self, member, signature, body):
        with self.host.connect("dave") as bus:
            serial = LargeCalls.send(self, bus, f"{INTERFACE}.{member}", signature, body)
            with self.assertRaises(BusError) as caught:
                bus.reply(serial)
        return caught.exception.name, caught.exception.text

    @staticmethod
    def with_options(*entries):
        body = b""
        for key, value in entries:
            body += bytes(-len(body) % 8) + one_entry(key, value)
        return dictionary(body, COUNT)

    def test_unknown(self):
        """The error for an unknown option quotes it, cut short, and lists the known ones."""
        for key, shown in (("colour", '"colour"'), ("x" * 1000, '"' + "x" * 80 + '"...')):
            name, text = self.refusal("Acquire", "ua{sv}", self.with_options((key, Variant("u", 1))))
            self.assertEqual(name, INVALID)
            self.assertEqual(text, f"unknown option {shown}; there are: attended, hold, idle-timeout, interactive, "
                                   "label, profile, queues, vhost, vnet")

    def test_twice(self):
        """An option that is given twice is refused by name, even with the same value."""
        twice = [("queues", Variant("u", 1))] * 2
        self.assertEqual(self.refusal("Acquire", "ua{sv}", self.with_options(*twice)),
                         (INVALID, "option queues is given twice"))

    def test_first(self):
        """If there are several mistakes the error names the first."""
        entries = [("queues", Variant("s", "two")), ("colour", Variant("s", "red"))]
        self.assertIn("queues", self.refusal("Acquire", "ua{sv}", self.with_options(*entries))[1])
        self.assertIn("colour", self.refusal("Acquire", "ua{sv}", self.with_options(*reversed(entries)))[1])
