# SPDX-License-Identifier: MIT
"""Shared by the tests of the password prompt: a user who needs an administrator's password, the terminal that shows
the question, and a monitor of the calls to polkit."""

import contextlib
import os
import signal
from xml.etree import ElementTree

from tests.bus.ring import BusRing
from tests.bus.terminal import Terminal, processes
from tests.lib import users
from tests.lib.host import TREE

AGENT, PASSWORD_CHECKER = "pkttyagent", "polkit-agent-he"
CHECK = "org.freedesktop.PolicyKit1.Authority.CheckAuthorization"
REGISTER = "org.freedesktop.PolicyKit1.Authority.RegisterAuthenticationAgent"
AUTHORITY = "type='method_call',interface='org.freedesktop.PolicyKit1.Authority'"
ACTIONS = {"acquire": "org.qemutap.acquire", "manage": "org.qemutap.manage", "vhost": "org.qemutap.vhost"}
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
USER = "dave"


def message_of(action, language=None):
    """The message of the installed policy file that polkit must show."""
    policy = ElementTree.parse(f"{TREE}/polkit/org.qemutap.policy")
    (entry,) = [entry for entry in policy.iter("action") if entry.get("id") == action]
    (text,) = [text.text for text in entry.findall("message") if text.get(LANGUAGE) == language]
    return text


def command_of(pid):
    with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
        return file.read().rstrip("\0").split("\0")


class Asked(BusRing):
    """dave is in no group and has no local session."""

    members = ("alice",)

    def setUp(self):
        users.make_administrator()
        super().setUp()
        self.addCleanup(self.end_agents)

    def end_agents(self):
        for pid in processes(AGENT, PASSWORD_CHECKER):
            with contextlib.suppress(ProcessLookupError):  # it may have ended already
                os.kill(pid, signal.SIGKILL)

    def terminal(self, user, *arguments, **options):
        self.host.programs()
        terminal = Terminal(self.host, user, "qemu-tapctl", *arguments, **options)
        self.addCleanup(terminal.close)
        return terminal

    def assert_left_as_before(self, terminal):
        """Checks right after the shell has its terminal back."""
        self.assertEqual(processes(AGENT), [])
        self.assertTrue(terminal.as_before(), "the terminal's settings are not as they were")

    def questions(self, act):
        """polkit's questions while `act` ran: the action of each, and whether polkit may prompt."""
        asked = []
        for message in self.heard(act, AUTHORITY):
            if message.member == CHECK:
                asked.append((message.body[1], bool(message.body[3])))
            elif message.member.startswith(REGISTER):
                asked.append(AGENT)
        return asked
