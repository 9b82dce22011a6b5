# SPDX-License-Identifier: MIT
"""Shared by the tests of hostile callers: many connections and requests of one user, an authentication agent that
never answers, and the daemon's memory use."""

import os
from collections import Counter
from unittest import mock

from tests.bus.ring import BusRing
from tests.lib import users
from tests.lib.bus import CALL, BusError, Variant

BY_NAME = {"hold": Variant("s", "name")}
ASKING = {**BY_NAME, "interactive": Variant("b", True)}
# The daemon's limits on open requests, per user and for all users; requests that prompt are counted separately.
PRESENT, PRESENT_IN_ALL = 128, 1024
PROMPTS, PROMPTS_IN_ALL = 1, 48
POLKIT = ("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority")
BEGIN = "org.freedesktop.PolicyKit1.AuthenticationAgent.BeginAuthentication"


class HostileCallers(BusRing):
    def connect(self, user):
        bus = self.host.connect(user)
        self.addCleanup(bus.close)
        return bus

    def connections(self, user, count):
        return [self.connect(user) for _ in range(count)]

    def strangers(self, count):
        """Adds so many users outside the group and returns their names: the bus refuses a uid without a name."""
        names = {f"stranger{number}": 64200 + number for number in range(count)}
        patch = mock.patch.dict(users.USERS, names)
        patch.start()
        self.addCleanup(patch.stop)
        users.add_users()
        users.set_members(*self.members)
        return list(names)

    def settled(self, *connections):
        """Returns when the service has handled all earlier requests of these connections: it handles them in order."""
        for bus in connections:
            self.assertEqual(self.call(bus, "List", "a{sv}", {}), [[]])

    def acquire(self, bus, count, options=None):
        """Sends so many requests and returns their serials."""
        return [self.send(bus, "Acquire", "ua{sv}", 1, options or BY_NAME) for _ in range(count)]

    @staticmethod
    def answers(bus, serials):
        """The answers to these calls that have arrived already."""
        return [message for message in bus.waiting if message.reply_to in serials]

    def errors(self, bus, serials):
        """Counts the errors of these calls by name; each call must fail."""
        names = Counter()
        for serial in serials:
            with self.assertRaises(BusError) as caught:
                bus.reply(serial)
            names[caught.exception.name] += 1
        return names

    def memory(self, key):
        """A line of the daemon's /proc/PID/status, in MB."""
        with open(f"/proc/{self.host.daemon.pid}/status", encoding="ascii") as file:
            line = next(line for line in file if line.startswith(key + ":"))
        return int(line.split()[1]) / 1024

    def silent_agent(self):
        """Registers an authentication agent that never answers, so that prompts stay open."""
        agent = self.connect("root")
        # Field 22 of /proc/PID/stat. Count from the last parenthesis: the program's name may hold any character.
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            started = int(file.read().rpartition(")")[2].split()[19])
        caller = ("unix-process", {"pid": Variant("u", os.getpid()), "start-time": Variant("t", started)})
        agent.call(*POLKIT[:2], f"{POLKIT[2]}.RegisterAuthenticationAgent", "(sa{sv})ss", caller, "C", "/agent")
        return agent

    @staticmethod
    def prompts_opened(agent, count):
        """Waits until so many prompts are open."""
        for _ in range(count):
            agent.next(lambda message: message.kind == CALL and message.member == BEGIN)
