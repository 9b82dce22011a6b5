# SPDX-License-Identifier: MIT
"""Who is not asked for a password: those who need none, those who said so, and where nobody could answer. What it
costs the others is counted too."""

import os
import subprocess

from rig import users
from rig.host import BIN
from prompt import ACTIONS, AGENT, USER, Asked, message_of
from terminal import BACKGROUND


class NotAsked(Asked):
    def assert_quiet(self, terminal, status):
        """It ended by itself, and the terminal shows the one line of the error and no question."""
        self.assertEqual(terminal.ended(), status, terminal.said)
        self.assertNotIn("AUTHENTICAT", terminal.said)
        self.assertEqual(terminal.said.count("qemu-tapctl: "), 1, terminal.said)
        self.assert_left_as_before(terminal)
        self.host.no_trace()

    def test_no_ask_password(self):
        """With --no-ask-password nobody is asked, no agent is started, and the status is 4."""
        for verb in (("up",), ("run", "--", "true"), ("list", "--all")):
            with self.subTest(verb=verb):
                words = (verb[0], "--no-ask-password", *verb[1:])
                action = ACTIONS["manage" if verb[0] == "list" else "acquire"]
                self.assertEqual(self.questions(lambda: self.assert_quiet(self.terminal(USER, *words), 4)),
                                 [(action, False)])

    def test_no_terminal(self):
        """Without a terminal at its standard input, though it has one otherwise, the client asks nobody."""
        self.host.programs()
        script = 'out=$1; shift; "$@" </dev/null >"$out"; printf "\\nended %d\\n" $?; read -r _'

        def act():
            terminal = self.terminal(USER, "up", script=script)
            self.assert_quiet(terminal, 4)
            self.assert_refused(self.ctl(USER, "up", stdin=subprocess.PIPE), 4, ACTIONS["acquire"])
        self.assertEqual(self.questions(act), [(ACTIONS["acquire"], False)] * 2)

    def test_background(self):
        """A job in the background is not stopped by a question that it can't put: error 4."""
        self.assert_quiet(self.terminal(USER, "up", script=BACKGROUND), 4)

    def test_no_agent_installed(self):
        """Where there is no pkttyagent the status is 4, as where nobody can be asked."""
        environment = {"PATH": BIN}
        terminal = self.terminal(USER, "up", environment=environment)
        self.assert_quiet(terminal, 4)

    def test_unasked(self):
        """Who needs no password costs one question and no agent: a member of the group; root costs none."""
        def act(user):
            terminal = self.terminal(user, "run", "--", "true")
            self.assertEqual(terminal.ended(), 0, terminal.said)
            self.assert_left_as_before(terminal)
        self.assertEqual(self.questions(lambda: act("alice")), [(ACTIONS["acquire"], False)])
        os.makedirs(f"{users.HOMES}/root", exist_ok=True)
        self.assertEqual(self.questions(lambda: act("root")), [])

    def test_asked_once(self):
        """Who needs one costs two: the second lets polkit ask, after the agent is there."""
        def act():
            terminal = self.terminal(USER, "run", "--", "true")
            terminal.wait_for_prompt()
            terminal.type(users.PASSWORD + "\n")
            self.assertEqual(terminal.ended(), 0, terminal.said)
        asked = self.questions(act)
        self.assertEqual(asked, [(ACTIONS["acquire"], False), AGENT, (ACTIONS["acquire"], True)])


class Texts(Asked):
    def test_accepted(self):
        """polkit takes the file of actions whole: it drops one that it does not understand without a word."""
        for action in ACTIONS.values():
            done = self.host.run(USER, "pkaction", "--verbose", "--action-id", action)
            self.assertEqual((done.status, done.err), (0, ""))
            self.assertIn(message_of(action), done.out)
