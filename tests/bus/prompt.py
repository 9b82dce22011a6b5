# SPDX-License-Identifier: MIT
"""What the tests of the password prompt share: a user who needs an administrator's password, the terminal that the
question comes to, and an ear for what polkit is asked."""

import contextlib
import os
import signal
from xml.etree import ElementTree

from rig import users
from rig.host import TREE
from ring import BusRing
from terminal import Terminal, processes

AGENT, PASSWORD_CHECKER = "pkttyagent", "polkit-agent-he"
CHECK = "org.freedesktop.PolicyKit1.Authority.CheckAuthorization"
REGISTER = "org.freedesktop.PolicyKit1.Authority.RegisterAuthenticationAgent"
AUTHORITY = "type='method_call',interface='org.freedesktop.PolicyKit1.Authority'"
ACTIONS = {"acquire": "org.qemutap.acquire", "manage": "org.qemutap.manage", "vhost": "org.qemutap.vhost"}
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
USER = "dave"


def message_of(action, language=None):
    """What polkit is to say, from the file that is installed."""
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
            with contextlib.suppress(ProcessLookupError):  # it may end by itself meanwhile
                os.kill(pid, signal.SIGKILL)

    def terminal(self, user, *arguments, **options):
        self.host.programs()
        terminal = Terminal(self.host, user, "qemu-tapctl", *arguments, **options)
        self.addCleanup(terminal.close)
        return terminal

    def assert_left_as_before(self, terminal):
        """Looked at as soon as the shell has its terminal back."""
        self.assertEqual(processes(AGENT), [])
        self.assertTrue(terminal.as_before(), "the terminal's settings are not as they were")

    def questions(self, act):
        """What polkit was asked while `act` ran: of each question its action and whether it may ask a person."""
        asked = []
        for message in self.heard(act, AUTHORITY):
            if message.member == CHECK:
                asked.append((message.body[1], bool(message.body[3])))
            elif message.member.startswith(REGISTER):
                asked.append(AGENT)
        return asked
