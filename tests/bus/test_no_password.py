# SPDX-License-Identifier: MIT
"""When the client does not ask for a password: the user needs none, the user forbade it, or there is no terminal to
answer at. The calls to polkit are counted too."""

import os
import subprocess

from tests.bus.prompt import ACTIONS, AGENT, USER, Asked, message_of
from tests.bus.terminal import BACKGROUND
from tests.lib import users
from tests.lib.host import BIN


class NotAsked(Asked):
    def assert_quiet(self, terminal, status):
        """Expects that it ended by itself and that the terminal shows one error line and no question."""
        self.assertEqual(terminal.ended(), status, terminal.said)
        self.assertNotIn("AUTHENTICAT", terminal.said)
        self.assertEqual(terminal.said.count("qemu-tapctl: "), 1, terminal.said)
        self.assert_left_as_before(terminal)
        self.host.no_trace()

    def test_no_ask_password(self):
        """With --no-ask-password the client starts no agent, the terminal shows no question, and the status is 4."""
        for verb in (("up",), ("run", "--", "true"), ("list", "--all")):
            with self.subTest(verb=verb):
                words = (verb[0], "--no-ask-password", *verb[1:])
                action = ACTIONS["manage" if verb[0] == "list" else "acquire"]
                self.assertEqual(self.questions(lambda: self.assert_quiet(self.terminal(USER, *words), 4)),
                                 [(action, False)])

    def test_no_terminal(self):
        """If standard input is no terminal the client does not ask, even if it has a controlling terminal."""
        self.host.programs()
        script = 'out=$1; shift; "$@" </dev/null >"$out"; printf "\\nended %d\\n" $?; read -r _'

        def act():
            terminal = self.terminal(USER, "up", script=script)
            self.assert_quiet(terminal, 4)
            self.assert_refused(self.ctl(USER, "up", stdin=subprocess.PIPE), 4, ACTIONS["acquire"])
        self.assertEqual(self.questions(act), [(ACTIONS["acquire"], False)] * 2)

    def test_background(self):
        """A background job is not stopped by a question that it cannot ask: the status is 4."""
        self.assert_quiet(self.terminal(USER, "up", script=BACKGROUND), 4)

    def test_no_agent_installed(self):
        """Without pkttyagent the status is 4, as without a terminal."""
        environment = {"PATH": BIN}
        terminal = self.terminal(USER, "up", environment=environment)
        self.assert_quiet(terminal, 4)

    def test_unasked(self):
        """A group member costs one question to polkit and no agent; root costs no question."""
        def act(user):
            terminal = self.terminal(user, "run", "--", "true")
            self.assertEqual(terminal.ended(), 0, terminal.said)
            self.assert_left_as_before(terminal)
        self.assertEqual(self.questions(lambda: act("alice")), [(ACTIONS["acquire"], False)])
        os.makedirs(f"{users.HOMES}/root", exist_ok=True)
        self.assertEqual(self.questions(lambda: act("root")), [])

    def test_asked_once(self):
        """A user who needs a password costs two questions: the second, after the agent has started, may prompt."""
        def act():
            terminal = self.terminal(USER, "run", "--", "true")
            terminal.wait_for_prompt()
            terminal.type(users.PASSWORD + "\n")
            self.assertEqual(terminal.ended(), 0, terminal.said)
        asked = self.questions(act)
        self.assertEqual(asked, [(ACTIONS["acquire"], False), AGENT, (ACTIONS["acquire"], True)])


class Texts(Asked):
    def test_accepted(self):
        """polkit loads every action of the shipped file: it silently drops actions that it does not understand."""
        for action in ACTIONS.values():
            done = self.host.run(USER, "pkaction", "--verbose", "--action-id", action)
            self.assertEqual((done.status, done.err), (0, ""))
            self.assertIn(message_of(action), done.out)
