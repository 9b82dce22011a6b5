# SPDX-License-Identifier: MIT
"""`run --user`: root starts a user's QEMU, and the lease, polkit's decision and the process are that user's. Only root
can do so."""

import fcntl
import json
import os
import signal
import struct
import sys
import termios

from tests.bus.keys import DESCRIPTOR, SECRET
from tests.bus.ring import HERE, BusRing
from tests.bus.terminal import Terminal, children
from tests.lib import kernel, users
from tests.lib.bus import CALL
from tests.lib.host import program_environment
from tests.lib.process import until

CHECK = "org.freedesktop.PolicyKit1.Authority.CheckAuthorization"
AUTHORITY = "type='method_call',interface='org.freedesktop.PolicyKit1.Authority'"


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return {key: text.split() for key, text in (line.rstrip("\n").split(":\t", 1) for line in file)}


def environment_of(pid):
    with open(f"/proc/{pid}/environ", encoding="utf-8") as file:
        return dict(entry.split("=", 1) for entry in file.read().rstrip("\0").split("\0"))


def comm_of(pid):
    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
        return file.read().strip()


# Prints the program's exit status, and then what the shell reads from its terminal. The first argument is unused: other
# tests' scripts get a file for the program's output there.
AT_TERMINAL = 'shift; "$@"; printf "\\nended %d\\n" $?; read -r line; printf "read <%s>\\n" "$line"; read -r _'
# Continues the job with `fg` once it has stopped, as a user does.
WITH_JOBS = 'shift; "$@"; printf "\\nstopped %d\\n" $?; read -r _; fg >/dev/null; printf "\\nended %d\\n" $?; read -r _'


# Ignores QEMU's arguments.
SLEEP = ("sh", "-c", "exec sleep 600")


class RunAs(BusRing):
    members = ("alice", "bob")

    def test_process(self):
        """The program has the user's uids, gids and groups, no capability, and no way back to root."""
        stand_in = self.run_stand_in("root", "--user", "alice")
        alice = str(users.USERS["alice"])
        status = status_of(stand_in.popen.pid)
        self.assertEqual(status["Uid"], [alice] * 4)
        self.assertEqual(status["Gid"], [alice] * 4)
        self.assertEqual(sorted(status["Groups"]), sorted([alice, str(users.GROUP_ID)]))
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(status[kind][0], 16), 0, kind)

    def test_environment(self):
        """The environment is that of the user's login; of root's it has TERM only, or all of it with an option."""
        users_own = {"HOME": f"{users.HOMES}/alice", "USER": "alice", "LOGNAME": "alice", "SHELL": "/bin/sh"}
        for options, also in (((), {"PATH": "/usr/local/bin:/usr/bin:/bin", "TERM": "xterm"}),
                              (("--keep-environment",), {**program_environment("root"), "TERM": "xterm",
                                                         "DISPLAY": ":0", "SECRET": SECRET})):
            with self.subTest(options=options):
                popen = self.ctl_start_with({"TERM": "xterm", "DISPLAY": ":0", "SECRET": SECRET, "LISTEN_FDS": "1"},
                                            "--user", "alice", *options)
                found = environment_of(popen.pid)
                found.pop("PWD", None)  # set by the shell itself
                self.assertEqual(found, {**also, **users_own})

    def ctl_start_with(self, environment, *options):
        """A `run` of root's that has executed its program."""
        popen = self.host.ctl_start("root", "run", *options, "--", *SLEEP, environment=environment)
        self.addCleanup(self._end, popen)
        until(lambda: comm_of(popen.pid) == "sleep", "the program has started")
        return popen

    def test_up(self):
        """After `up --user` the lease is the user's: devices, polkit's decision, and the right to end it."""
        grant = json.loads(self.ok("root", "up", "--user", "alice", "--label", "vm", "--json"))
        (lease,) = self.leases("alice")
        self.assertEqual((lease["lease"], lease["uid"]), (grant["lease"], users.USERS["alice"]))
        self.assertEqual(kernel.link(lease["taps"][0]["name"])["linkinfo"]["info_data"]["user"], "alice")
        self.assertEqual(self.leases("root"), [])
        self.ok("alice", "down", "vm")
        self.assertEqual(self.ctl("root", "up", "--user", "dave").status, 4)
        self.assertEqual(self.ctl("alice", "up", "--user", "bob").status, 2)
        self.assertEqual(self.ctl("root", "up", "--user", "nobody-at-all").status, 2)
        self.host.no_trace()

    def test_lease(self):
        """The lease is listed as the user's, the device is owned by the user, and both end with the program."""
        stand_in = self.run_stand_in("root", "--user", "alice", "--label", "vm")
        (lease,) = self.leases("alice")
        self.assert_grant(lease, "alice", [lease["taps"][0]["index"]], label="vm", hold="fd", qemu_args=[])
        self.assertEqual(self.leases("root"), [])
        self.assertEqual(stand_in.end(), 0)
        kernel.wait_for(lambda: not kernel.ours(), "the tap ends with the program")
        self.host.no_trace()

    def test_limit(self):
        """The user's limit counts, not root's."""
        self.up("alice", "--count", "32")
        self.assert_refused(self.ctl("root", "run", "--user", "alice", "--", "true"), 6, "32")
        self.assertEqual(self.ctl("root", "run", "--user", "bob", "--", "true").status, 0)

    def test_authorisation(self):
        """polkit decides about the user: one outside the group is refused, though root is the caller."""
        with self.host.connect() as ear:
            ear.watch(AUTHORITY)
            self.assert_refused(self.ctl("root", "run", "--user", "dave", "--", "true"), 4, "org.qemutap.acquire",
                                str(users.USERS["dave"]))
            question = ear.next(lambda message: message.kind == CALL and message.member == CHECK)
            self.assertEqual(question.body[1], "org.qemutap.acquire")
        self.host.no_trace()

    def test_command(self):
        """A program that the user may not execute gives status 126, and no tap is made for it."""
        program = f"{users.HOMES}/for-root"
        with open(program, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n")
        self.addCleanup(os.unlink, program)
        os.chmod(program, 0o700)
        self.assert_refused(self.ctl("root", "run", "--user", "alice", "--", program), 126, "not executable")
        self.assertEqual(self.ctl("root", "run", "--", program).status, 0)
        self.host.no_trace()

    def test_root(self):
        """--user root is the same as no --user."""
        stand_in = self.run_stand_in("root", "--user", "root")
        self.assertEqual(status_of(stand_in.popen.pid)["Uid"], ["0"] * 4)
        self.assertEqual([lease["uid"] for lease in json.loads(self.ok("root", "list", "--json"))], [0])


class AwayFromRoot(BusRing):
    """A user's program that root starts has no access to root's session."""

    members = ("bob",)

    def setUp(self):
        super().setUp()
        self.report = f"{users.HOMES}/bob/report"
        self.addCleanup(lambda: os.path.exists(self.report) and os.unlink(self.report))
        for module in ("keys.py", "intruder.py"):
            self.intruder = self.host.share(f"{HERE}/{module}", module)

    def attack(self, *options):
        """The command with which root, whose session has secrets, starts a hostile program of bob's."""
        return [sys.executable, self.host.share(f"{HERE}/keys.py"),
                self.host.share(f"{self.host.build}/client/qemu-tapctl"), "run", "--user", "bob", *options, "--",
                sys.executable, self.intruder, self.report, "KEY"]

    def found(self):
        with open(self.report, encoding="utf-8") as file:
            return json.load(file)

    def assert_nothing_of_roots(self, found):
        self.assertIsNone(found["key"], "a key of root's session keyring can be read")
        self.assertNotIn("SECRET", found["environment"])
        self.assertNotIn(str(DESCRIPTOR), found["open"])
        self.assertEqual(set(found["open"].values()), {"/dev/net/tun"}, "a descriptor other than its tap's is open")

    def test_at_terminal(self):
        """At root's terminal the program has its own terminal and session, and cannot type into root's shell."""
        with Terminal(self.host, "root", *self.attack(), script=AT_TERMINAL, environment={"SECRET": SECRET},
                      out="/dev/null") as terminal:
            self.assertEqual(terminal.ended(), 0, terminal.said)
            terminal.type("typed\n")
            self.assertEqual(terminal.wait_for("read <(.*)>").group(1), "typed")
            found, roots = self.found(), terminal.device
            self.assertEqual(set(found["terminals"]), {"0", "1", "2"})
            self.assertNotIn(roots, [*found["terminals"].values(), found["tty"]])
            self.assertNotEqual(found["session"], terminal.shell.pid)
            self.assert_nothing_of_roots(found)

    def test_with_files(self):
        """With standard descriptors that are files and pipes, as in a pipeline, the program has no terminal at all."""
        script = f'shift; "$@" </dev/null 2>&1 | cat >/dev/null; {AT_TERMINAL.partition(";")[2].partition(";")[2]}'
        with Terminal(self.host, "root", *self.attack(), script=script, environment={"SECRET": SECRET},
                      out="/dev/null") as terminal:
            terminal.ended()
            terminal.type("typed\n")
            self.assertEqual(terminal.wait_for("read <(.*)>").group(1), "typed")
            found = self.found()
            self.assertEqual((found["terminals"], found["tty"]), ({}, None))
            self.assertNotEqual(found["session"], terminal.shell.pid)
            self.assert_nothing_of_roots(found)

    def test_without_terminal(self):
        """Without a terminal, as from a script or service, the program has a session of its own in the same process."""
        popen = self.host.start("root", *self.attack(), environment={"SECRET": SECRET})
        self.addCleanup(BusRing._end, popen)
        self.assertEqual(popen.wait(), 0, popen.stderr)
        found = self.found()
        self.assertEqual((found["terminals"], found["tty"]), ({}, None))
        self.assertEqual((found["session"], found["pid"]), (popen.pid, popen.pid))
        self.assert_nothing_of_roots(found)

    def test_keys_used_up(self):
        """If the user's key quota is used up the program is not started, rather than left with root's keyring."""
        folder = os.path.dirname(self.host.share(f"{HERE}/keys.py"))
        hoard = self.host.start("bob", sys.executable, "-c", HOARD, stdin=-1, environment={"PYTHONPATH": folder})
        self.addCleanup(BusRing._end, hoard)
        self.assertEqual(hoard.stdout.readline(), b"full\n")
        done = self.host.run("root", *self.attack())
        self.assertEqual(done.status, 1, done)
        self.assertIn("keyctl", done.err)
        self.assertFalse(os.path.exists(self.report))
        self.host.no_trace()


# Adds keys until the quota is used up. They are freed when the process ends.
HOARD = """
import sys
import keys
keys.keyctl(keys.JOIN_SESSION_KEYRING, None)
try:
    for number in range(100000):
        keys.add_key(f"hoard {number}", "x" * 64)
except OSError:
    print("full", flush=True)
sys.stdin.read()
"""


class Relayed(BusRing):
    """At a terminal the client stays between root and the program as a relay without visible effect."""

    members = ("bob",)

    def at_terminal(self, *command, script=AT_TERMINAL, options=()):
        terminal = Terminal(self.host, "root", "qemu-tapctl", "run", "--user", "bob", *options, "--", *command,
                            script=script, out="/dev/null")
        self.addCleanup(terminal.close)
        return terminal

    def program_of(self, relay, name="sleep"):
        """The program's pid, once the relay's child has executed it."""
        until(lambda: children(relay) and comm_of(children(relay)[0]) == name, "the program has started")
        return children(relay)[0]

    def test_status(self):
        """The relay ends as its program did: with the same status or by the same signal."""
        for command, expected in (("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 128 + signal.SIGTERM),
                                  ("kill -KILL $$", 128 + signal.SIGKILL)):
            with self.subTest(command=command):
                terminal = self.at_terminal("sh", "-c", command)
                self.assertEqual(terminal.ended(), expected, terminal.said)
                self.assertTrue(terminal.as_before())
        self.assertEqual(self.at_terminal("no-such-program").ended(), 127)

    def test_lease(self):
        """Only the program holds the lease: the relay has no descriptor of it, and the lease ends with the program."""
        terminal = self.at_terminal(*SLEEP)
        relay = terminal.program()
        program = self.program_of(relay)
        (lease,) = self.leases("bob")
        self.assertEqual(lease["hold"], "fd")
        held = [os.readlink(f"/proc/{relay}/fd/{number}") for number in os.listdir(f"/proc/{relay}/fd")]
        self.assertNotIn("/dev/net/tun", held)
        os.kill(program, signal.SIGKILL)
        self.assertEqual(terminal.ended(), 128 + signal.SIGKILL)
        kernel.wait_for(lambda: not kernel.ours(), "the tap ends with the program")

    def test_by_name(self):
        """With --hold name the client behind the relay ends the lease with the program."""
        terminal = self.at_terminal("sh", "-c", "exit 5", options=("--hold", "name"))
        self.assertEqual(terminal.ended(), 5)
        self.host.no_trace()

    def test_typing(self):
        """Typed text reaches the program once, without echo if it wants none; the program's output is shown."""
        terminal = self.at_terminal("sh", "-c", 'stty -echo; echo ready; read -r a; echo "got <$a>"')
        terminal.wait_for("ready")
        terminal.type("some words\r")
        terminal.wait_for("got <some words>\r\n")
        self.assertNotIn("some words\r", terminal.said.partition("got")[0])
        self.assertEqual(terminal.ended(), 0)
        self.assertTrue(terminal.as_before())

    def test_interrupt(self):
        """^C reaches the program and not root's shell."""
        terminal = self.at_terminal("sh", "-c", 'trap "echo caught; exit 3" INT; echo ready; while :; do sleep 0.1; done')
        terminal.wait_for("ready")
        terminal.type("\x03")
        terminal.wait_for("caught")
        self.assertEqual(terminal.ended(), 3)

    def test_much(self):
        """Data larger than any buffer is lost in neither direction, and a program that reads late blocks nothing."""
        text = "0123456789" * 40 + "\n"
        terminal = self.at_terminal("sh", "-c", "stty raw -echo; echo ready; sleep 1; head -c 40100 | cksum; seq 20000")
        terminal.wait_for("ready")
        for _ in range(100):
            terminal.type(text)
        terminal.wait_for(r"\n19999\r?\n20000")
        self.assertIn(" 40100", terminal.said)
        self.assertEqual(terminal.ended(), 0)

    def test_size(self):
        """The program's terminal has the size of root's and follows its changes."""
        terminal = self.at_terminal("sh", "-c", 'trap "stty size; exit" WINCH; stty size; echo ready; '
                                                "while :; do sleep 0.1; done")
        terminal.wait_for("ready")
        fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        terminal.wait_for("33 101")
        self.assertEqual(terminal.ended(), 0)

    def test_signals(self):
        """A signal to the relay reaches the program; a relay that is killed takes the program with it."""
        terminal = self.at_terminal("sh", "-c", 'trap "exit 4" USR1; echo ready; while :; do sleep 0.1; done')
        terminal.wait_for("ready")
        os.kill(terminal.program(), signal.SIGUSR1)
        self.assertEqual(terminal.ended(), 4)
        terminal = self.at_terminal(*SLEEP)
        relay = terminal.program()
        program = os.pidfd_open(self.program_of(relay))
        self.addCleanup(os.close, program)
        os.kill(relay, signal.SIGKILL)
        self.assertEqual(terminal.ended(), 128 + signal.SIGKILL)
        kernel.wait_for(lambda: not kernel.ours(), "the lease ends with the relay")

    def test_stopped(self):
        """A stopped program stops its job: the shell gets its terminal back, and `fg` continues the program."""
        terminal = self.at_terminal("sh", "-c", "echo ready; kill -STOP $$; echo again; exit 6", script=WITH_JOBS)
        terminal.wait_for(r"stopped (\d+)")
        self.assertTrue(terminal.as_before())
        terminal.type("\n")
        terminal.wait_for("again")
        self.assertEqual(terminal.ended(), 6)
        self.assertTrue(terminal.as_before())

    def test_background(self):
        """A background job runs too, and does not touch the terminal."""
        script = 'shift; "$@" & wait $!; printf "\\nended %d\\n" $?; read -r _'
        terminal = self.at_terminal("sh", "-c", "echo hello; exit 2", script=script)
        terminal.wait_for("hello")
        self.assertEqual(terminal.ended(), 2)
        self.assertTrue(terminal.as_before())


class Refused(BusRing):
    members = ("alice",)

    def test_not_root(self):
        """Only root can name a user; any other caller gets 2, even for its own name, and nothing is made."""
        for user in ("alice", "bob", "root", "no-such-user"):
            with self.subTest(user=user):
                self.assert_refused(self.ctl("alice", "run", "--user", user, "--", "true"), 2, "root")
        self.host.no_trace()

    def test_unknown(self):
        """An unknown name, a number and an empty name give status 2, and the program is not run as root instead."""
        for name in ("no-such-user", "", "64101", "alice ", "alice\nbob", "\x1b[31m"):
            with self.subTest(name=name):
                self.assert_refused(self.ctl("root", "run", f"--user={name}", "--", "touch", "/run/rig/touched"), 2,
                                    "user")
                self.assertFalse(os.path.exists("/run/rig/touched"))
        self.host.no_trace()

    def test_keep_environment(self):
        """--keep-environment without --user gives status 2."""
        self.assert_refused(self.ctl("root", "run", "--keep-environment", "--", "true"), 2, "--user")

    def test_other_verbs(self):
        """Only `run` and `up` have --user; other verbs give status 2."""
        for verb in (("list",), ("down", "--all"), ("args", "x")):
            with self.subTest(verb=verb):
                self.assert_refused(self.ctl("root", verb[0], "--user", "alice", *verb[1:]), 2, "--user")
