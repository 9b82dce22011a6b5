# SPDX-License-Identifier: MIT
"""Random D-Bus calls that a bus lets through: complete messages of any signature and size, to members that exist or
do not. One seed determines every value, so a harmful call can be repeated."""

import random

from tests.bus.ring import MANAGER, NO_LEASE
from tests.lib.wire import Variant, split

FREEDESKTOP = "org.freedesktop.DBus"
# The calls that the bus allows to every user, as (interface, signature). `unknown` is any member that does not exist.
METHODS = {
    "Acquire": (MANAGER[2], "ua{sv}"), "Release": (MANAGER[2], "s"), "List": (MANAGER[2], "a{sv}"),
    "Get": (f"{FREEDESKTOP}.Properties", "ss"), "Set": (f"{FREEDESKTOP}.Properties", "ssv"),
    "GetAll": (f"{FREEDESKTOP}.Properties", "s"), "Introspect": (f"{FREEDESKTOP}.Introspectable", ""),
    "Ping": (f"{FREEDESKTOP}.Peer", ""), "GetMachineId": (f"{FREEDESKTOP}.Peer", ""), "unknown": ("", ""),
}
INTERFACES = sorted({interface for interface, _ in METHODS.values() if interface})
KEYS = {"hold": "s", "label": "s", "queues": "u", "vhost": "s", "idle-timeout": "t", "attended": "b", "profile": "s", "vnet": "b",
        "interactive": "b", "all": "b", "lease": "s", "count": "u"}
WORDS = ["", "fd", "name", "no", "auto", "yes", "x", "tap7", "0", "-rf", "$(x)", "a b", "\n", "\x1b[31m", "caf\u00e9",
         "\U0001f427", "\ufffd", "%s%n", "../../etc/passwd", NO_LEASE, "Version", "Pool", "PrefixLength", "Features",
         "hold", "label", "queues", "vhost", "vnet", "idle-timeout", "attended", "profile", "standard", "runqemu",
         "interactive", "all",
         *INTERFACES]
PATHS = ["/", "/x/y", "/org", MANAGER[1] + "/lease", "/" + "z" * 300]
NUMBERS = {"y": 8, "q": 16, "u": 32, "t": 64, "n": -16, "i": -32, "x": -64}
BASIC = [*NUMBERS, *"bdsogh"]
# One in HUGE texts and dictionaries is huge.
HUGE, LARGEST_TEXT, MOST_OPTIONS = 2000, 250_000, 1000


class Dice(random.Random):
    def __init__(self, seed, leases=()):
        super().__init__(seed)
        self.words = [*WORDS, *leases]
        self.nested = 0
        self.huge = HUGE

    def one_in(self, count):
        return self.randrange(count) == 0

    def call(self, method):
        """Return (path, interface.Member, signature, arguments) of a call to that method, often with an error."""
        interface, signature = METHODS[method]
        if not interface:
            interface, method = self.choice([*INTERFACES, f"{MANAGER[2]}2"]), self.member()
        path = self.choice(PATHS) if self.one_in(20) else MANAGER[1]
        if self.one_in(3):
            signature = "".join(self.signature() for _ in range(self.randint(0, 4)))
        elif self.one_in(10):
            signature += self.signature()
        return path, f"{interface}.{method}", signature, [self.value(one) for one in split(signature)]

    def member(self):
        return self.choice("AaZz_") + "".join(self.choices("abcXYZ012_", k=self.choice([0, 1, 7, 30, 254])))

    def signature(self, depth=0):
        """Return the signature of one complete type."""
        code = self.choice([*BASIC, "v"] if depth > 2 else [*BASIC, "v", "v", "a", "a", "(", "{", "options"])
        if code == "a":
            return "a" + self.signature(depth + 1)
        if code == "(":
            return f"({''.join(self.signature(depth + 1) for _ in range(self.randint(1, 3)))})"
        if code == "{":
            return f"a{{{self.choice(BASIC)}{self.signature(depth + 1)}}}"
        return "a{sv}" if code == "options" else code

    def number(self, bits):
        """Return a number, mostly one near the ends of the range, where programs err most."""
        low, high = (-(1 << -bits - 1), (1 << -bits - 1) - 1) if bits < 0 else (0, (1 << bits) - 1)
        return min(high, max(low, self.choice([0, 1, 2, 16, 17, 32, 33, low, high, self.randint(low, high)])))

    def text(self):
        if self.one_in(self.huge):
            return self.choice("xy\u00fc") * self.choice([1000, 65_536, LARGEST_TEXT])
        if self.one_in(2):
            return self.choice(self.words)
        return "".join(chr(self.randint(1, 0x2fff)) for _ in range(self.randint(0, 20)))

    def value(self, signature):
        code = signature[0]
        if code in NUMBERS:
            return self.number(NUMBERS[code])
        if code == "s":
            return self.text()
        if code == "v":
            return self.variant()
        if code in "a(":
            return self.options() if signature == "a{sv}" else self.container(signature)
        return self.choice({"b": [0, 1], "d": [0.0, -1.5, float("inf"), float("nan"), 1e308],
                            "o": [MANAGER[1], *PATHS], "g": ["", "s", "a{sv}", "(((u)))", "y" * 255],
                            "h": [0, 15, 2**32 - 1]}[code])

    def container(self, signature):
        if signature[0] == "(":
            return [self.value(one) for one in split(signature[1:-1])]
        length = self.randint(0, 3)
        if signature[1] == "{":
            key, inner = split(signature[2:-1])
            return {self.value(key): self.value(inner) for _ in range(length)}
        if signature[1] in NUMBERS and self.one_in(self.huge // 50):
            length = self.choice([1000, 20_000])
        return [self.value(signature[1:])] * length

    def options(self):
        """Return known keys, mostly with something wrong, and sometimes unknown keys, even thousands of them."""
        options = {key: self.variant(KEYS[key] if self.one_in(2) else None)
                   for key in self.sample(list(KEYS), self.randint(0, 3))}
        for _ in range(self.choice([0, 0, 1, 3])):
            options[self.text()] = self.variant()
        if self.one_in(self.huge):
            options.update(self.many_options(self.choice([100, MOST_OPTIONS])))
        return options

    @staticmethod
    def many_options(count):
        return {f"key{number}": Variant("u", number) for number in range(count)}

    def variant(self, signature=None):
        """Return a variant, rarely one that holds others: the bus disconnects a client that nests deeper than 64."""
        self.nested += 1
        signature = signature or (self.signature(1) if self.nested < 4 else self.choice("sub"))
        variant = Variant(signature, self.value(signature))
        self.nested -= 1
        for _ in range(self.randint(1, 40) if not self.nested and self.one_in(200) else 0):
            variant = Variant("v", variant)
        return variant
