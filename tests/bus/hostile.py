# SPDX-License-Identifier: MIT
"""What the tests of hostile callers share: many connections and requests of one user, an authentication agent that
never answers, and what both cost the daemon."""

import os
from collections import Counter
from unittest import mock

from rig import users
from rig.bus import CALL, BusError, Variant
from ring import BusRing

BY_NAME = {"hold": Variant("s", "name")}
ASKING = {**BY_NAME, "interactive": Variant("b", True)}
# What the daemon lets one user, and all together, have open: questions and prompts are on lanes of their own.
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
        """The names of so many further users, none of them in the group: the bus turns away a uid without a name."""
        names = {f"stranger{number}": 64200 + number for number in range(count)}
        patch = mock.patch.dict(users.USERS, names)
        patch.start()
        self.addCleanup(patch.stop)
        users.add_users()
        users.set_members(*self.members)
        return list(names)

    def settled(self, *connections):
        """Each connection is served in order: when this returns, all that was sent before has been dealt with."""
        for bus in connections:
            self.assertEqual(self.call(bus, "List", "a{sv}", {}), [[]])

    def acquire(self, bus, count, options=None):
        """Sends so many requests; returns the numbers of their replies."""
        return [self.send(bus, "Acquire", "ua{sv}", 1, options or BY_NAME) for _ in range(count)]

    @staticmethod
    def answers(bus, serials):
        """Those of the answers to these calls that are here already."""
        return [message for message in bus.waiting if message.reply_to in serials]

    def errors(self, bus, serials):
        """How many of these calls, which must all fail, are answered with which error."""
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
        """Prompts are made to stay open by an authentication agent, ours, that never answers."""
        agent = self.connect("root")
        # Field 22 of /proc/PID/stat, counted behind the program's name, which may hold anything.
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            started = int(file.read().rpartition(")")[2].split()[19])
        caller = ("unix-process", {"pid": Variant("u", os.getpid()), "start-time": Variant("t", started)})
        agent.call(*POLKIT[:2], f"{POLKIT[2]}.RegisterAuthenticationAgent", "(sa{sv})ss", caller, "C", "/agent")
        return agent

    @staticmethod
    def prompts_opened(agent, count):
        """Waits for so many prompts to be open."""
        for _ in range(count):
            agent.next(lambda message: message.kind == CALL and message.member == BEGIN)
