# SPDX-License-Identifier: MIT
"""The client on a terminal: a real pkttyagent asks a user who needs an administrator's password for it. Whatever the
user answers, or if there is no answer, the terminal is as before and no process is left."""

import json
import os
import signal
import subprocess

from tests.bus.prompt import ACTIONS, AGENT, PASSWORD_CHECKER, USER, Asked, command_of, message_of
from tests.bus.terminal import SHELL, Terminal, children, processes
from tests.bus.test_vhost import VHOST, place_vhost
from tests.lib import kernel, users
from tests.lib.process import until


class Answers(Asked):
    def test_right_password(self):
        """The prompt names the action and its purpose; with the password stdout gets the lease and nothing else."""
        terminal = self.terminal(USER, "up", "--json")
        terminal.wait_for_prompt()
        self.assertIn(f"AUTHENTICATING FOR {ACTIONS['acquire']}", terminal.said)
        self.assertIn(message_of(ACTIONS["acquire"]), terminal.said)
        self.assertIn(users.ADMINISTRATOR, terminal.said)
        terminal.type(users.PASSWORD + "\n")
        self.assertEqual(terminal.ended(), 0, terminal.said)
        self.assert_left_as_before(terminal)
        self.assertNotIn(users.PASSWORD, terminal.said)
        self.assertNotIn("lease", terminal.said)
        self.assert_grant(json.loads(terminal.results()), USER, [8])

    def test_wrong_password(self):
        """A wrong password gives status 4, and nothing is made."""
        terminal = self.terminal(USER, "up", "--count", "2")
        terminal.wait_for_prompt()
        terminal.type("open barley\n")
        self.assertEqual(terminal.ended(), 4, terminal.said)
        self.assert_left_as_before(terminal)
        self.assertIn(f"qemu-tapctl: polkit does not grant {ACTIONS['acquire']}", terminal.said)
        self.assertEqual(terminal.results(), "")
        self.host.no_trace()

    def test_attended(self):
        """A lease that needed a password ends with its command, without another question or a message."""
        terminal = self.terminal(USER, "run", "--hold", "name", "--", "true")
        terminal.wait_for_prompt()
        terminal.type(users.PASSWORD + "\n")
        self.assertEqual(terminal.ended(), 0, terminal.said)
        self.assertNotIn("can't end", terminal.said)
        self.host.no_trace()

    def test_manage(self):
        """`list --all` asks for org.qemutap.manage and then lists all users' leases."""
        grant = self.up("alice")
        terminal = self.terminal(USER, "list", "--all", "--json")
        terminal.wait_for_prompt()
        self.assertIn(f"AUTHENTICATING FOR {ACTIONS['manage']}", terminal.said)
        terminal.type(users.PASSWORD + "\n")
        self.assertEqual(terminal.ended(), 0, terminal.said)
        self.assert_left_as_before(terminal)
        self.assertEqual(json.loads(terminal.results()), [grant])

    def place_vhost(self):
        place_vhost()
        self.addCleanup(os.unlink, VHOST)

    def test_vhost(self):
        """A user who may have taps is asked for vhost with `--vhost yes`, and not with `--vhost auto`."""
        self.place_vhost()
        users.set_members("alice", USER)
        terminal = self.terminal(USER, "run", "--vhost", "yes", "--", "true")
        terminal.wait_for_prompt()
        self.assertIn(f"AUTHENTICATING FOR {ACTIONS['vhost']}", terminal.said)
        self.assertIn(message_of(ACTIONS["vhost"]), terminal.said)
        terminal.type(users.PASSWORD + "\n")
        self.assertEqual(terminal.ended(), 0, terminal.said)
        self.assert_left_as_before(terminal)
        terminal = self.terminal(USER, "run", "--vhost", "auto", "--", "true")
        self.assertEqual(terminal.ended(), 0, terminal.said)
        self.assertNotIn("AUTHENTICATING", terminal.said)

    def test_taps_and_vhost(self):
        """A user who may have neither is asked for taps first and then for vhost."""
        self.place_vhost()
        terminal = self.terminal(USER, "run", "--vhost", "yes", "--", "true")
        for action in ("acquire", "vhost"):
            terminal.wait_for(f"FOR {ACTIONS[action]}(?s:.*)Password: ")
            until(lambda: not terminal.echoes(), "the terminal's echo is off")
            terminal.type(users.PASSWORD + "\n")
        self.assertEqual(terminal.ended(), 0, terminal.said)
        self.assert_left_as_before(terminal)

    def test_languages(self):
        """Both actions' questions are in German or Russian if that is the user's language."""
        for language, locale in (("de", "de_DE.UTF-8"), ("ru", "ru_RU.UTF-8")):
            for verb, action in ((("up",), "acquire"), (("list", "--all"), "manage")):
                with self.subTest(language=language, action=action):
                    terminal = self.terminal(USER, *verb, environment={"LANG": locale})
                    terminal.wait_for(f"FOR {ACTIONS[action]}(?s:.*){message_of(ACTIONS[action], language)}")
                    terminal.wait_for_prompt()
                    terminal.type("\x03")
                    self.assertEqual(terminal.ended(), 128 + signal.SIGINT)

    def test_what_the_program_inherits(self):
        """The program that `run` executes has no child, unchanged signal settings, and no descriptor but its tap."""
        terminal = self.terminal(USER, "run", "--", "sh", "-c", "exec cat")
        terminal.wait_for_prompt()
        terminal.type(users.PASSWORD + "\n")
        until(lambda: processes("cat"), "the client executes the program")
        terminal.type("settled\n")
        until(lambda: terminal.results() == "settled\n", "the program's loader has closed what it opened")
        self.assert_left_as_before(terminal)
        pid = terminal.program()
        self.assertEqual(processes("cat"), [pid], "the process changed its pid")
        self.assertEqual(children(pid), [])
        opened = {int(number): os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")}
        self.assertEqual([target for number, target in opened.items() if number > 2], ["/dev/net/tun"])
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines())
        for mask in ("SigBlk", "SigIgn", "SigCgt"):
            self.assertEqual(int(status[mask], 16), 0, mask)
        terminal.type("\x04")
        self.assertEqual(terminal.ended(), 0, terminal.said)
        kernel.wait_for(lambda: not kernel.ours(), "the tap ends with the program")

    def test_what_the_agent_inherits(self):
        """The agent inherits none of the caller's files and not the client's standard output, which is for results."""
        terminal = self.terminal(USER, "up", script="exec 8</etc/passwd; " + SHELL)
        terminal.wait_for_prompt()
        (agent,) = processes(AGENT)
        opened = [os.readlink(f"/proc/{agent}/fd/{number}") for number in os.listdir(f"/proc/{agent}/fd")]
        self.assertIn("/dev/tty", opened)
        for path in ("/etc/passwd", terminal.out):
            self.assertNotIn(path, opened)

    def test_second_try(self):
        """After a wrong password the next call still accepts the right one."""
        for password, status in (("open barley", 4), (users.PASSWORD, 0)):
            terminal = self.terminal(USER, "run", "--", "true")
            terminal.wait_for_prompt()
            terminal.type(password + "\n")
            self.assertEqual(terminal.ended(), status, terminal.said)
            self.assert_left_as_before(terminal)
        kernel.wait_for(lambda: not kernel.ours(), "the tap ends with the program")


class InSession(Asked):
    """The client in a login session, which polkit and the client recognise by the name of its cgroup."""

    IN_SESSION = 'mount --bind "$1" /proc/$$/cgroup && user=$2 && shift 2 && ' \
                 'exec setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"'
    CGROUPS = "/sys/fs/cgroup"

    def setUp(self):
        # The client only looks at the type of the file system here, to learn where a process's cgroup is found.
        subprocess.run(["mount", "-t", "cgroup2", "-o", "ro", "cgroup2", self.CGROUPS], check=True)
        self.addCleanup(subprocess.run, ["umount", self.CGROUPS], check=True)
        super().setUp()

    def in_session(self, *arguments):
        self.host.programs()
        name = f"{users.HOMES}/cgroup"
        with open(name, "w", encoding="ascii") as file:
            file.write(f"0::/user.slice/user-{users.USERS[USER]}.slice/session-77.scope\n")
        os.makedirs(f"{users.HOMES}/root", exist_ok=True)
        terminal = Terminal(self.host, "root", "sh", "-c", self.IN_SESSION, "sh", name, USER, "qemu-tapctl", *arguments)
        self.addCleanup(terminal.close)
        return terminal

    def test_agent_is_the_fallback(self):
        """In a login session the text agent registers as fallback for a desktop's agent, and asks if there is none."""
        terminal = self.in_session("up", "--json")
        terminal.wait_for_prompt()
        self.assertIn("--fallback", command_of(*processes(AGENT)))
        terminal.type(users.PASSWORD + "\n")
        self.assertEqual(terminal.ended(), 0, terminal.said)
        self.assert_left_as_before(terminal)
        self.assert_grant(json.loads(terminal.results()), USER, [8])

    def test_agent_is_the_only_one(self):
        """Outside a login session the text agent does not register as fallback, which polkit would not ask there."""
        terminal = self.terminal(USER, "up")
        terminal.wait_for_prompt()
        self.assertNotIn("--fallback", command_of(*processes(AGENT)))


class Ends(Asked):
    def at_the_prompt(self, *arguments):
        """A client at whose prompt the user has typed half a password."""
        terminal = self.terminal(USER, *arguments)
        terminal.wait_for_prompt()
        terminal.type("open")
        return terminal

    def assert_over(self, terminal, status):
        self.assertEqual(terminal.ended(), status, terminal.said)
        self.assert_left_as_before(terminal)
        until(lambda: not processes(PASSWORD_CHECKER), "the password checker has ended with its agent")
        # The daemon has cancelled the question, so the same user's next one is asked.
        self.assertEqual(self.leases(USER), [])
        self.host.no_trace()

    def test_interrupt(self):
        """^C at the prompt ends client and agent, makes nothing, and the terminal echoes again."""
        for verb in (("up",), ("run", "--count", "2", "--", "true"), ("list", "--all")):
            with self.subTest(verb=verb):
                terminal = self.at_the_prompt(*verb)
                terminal.type("\x03")
                self.assert_over(terminal, 128 + signal.SIGINT)

    def test_signals(self):
        """A signal to the client at the prompt ends the agent first and then the client by that signal."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            with self.subTest(signal=number.name):
                terminal = self.at_the_prompt("up")
                os.kill(terminal.program(), number)
                self.assert_over(terminal, 128 + number)

    def test_killed(self):
        """If the client is killed at the prompt, its agent ends too and leaves the terminal echoing."""
        terminal = self.at_the_prompt("up")
        os.kill(terminal.program(), signal.SIGKILL)
        self.assertEqual(terminal.ended(), 128 + signal.SIGKILL)
        until(lambda: not processes(AGENT, PASSWORD_CHECKER), "the agent has ended with its client")
        self.assertTrue(terminal.echoes())
        self.assertEqual(self.leases(USER), [])
        self.host.no_trace()

    def test_agent_killed(self):
        """If the agent is killed at the prompt, the client fails with status 4, and the terminal echoes again."""
        terminal = self.at_the_prompt("up")
        (agent,) = processes(AGENT)
        os.kill(agent, signal.SIGKILL)
        self.assert_over(terminal, 4)

    def test_daemon_killed(self):
        """If the daemon ends during the prompt, the client fails with status 3, and the terminal echoes again."""
        terminal = self.at_the_prompt("up")
        self.host.daemon.kill()
        self.assertEqual(terminal.ended(), 3, terminal.said)
        self.assert_left_as_before(terminal)
        self.host.no_trace()
