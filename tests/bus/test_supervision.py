# SPDX-License-Identifier: MIT
"""`run --hold name`: the program opens its taps by name, and the client stays as its invisible parent until both can
end. Whichever of the two ends, in whatever way, the devices and the program's remaining children end too."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

from tests.bus.ring import ADDED, TAP_FLAGS, BusRing, name_arguments
from tests.bus.terminal import Terminal, children, processes
from tests.lib import kernel, users
from tests.lib.process import HANGS, until

NAME = ("run", "--hold", "name")
PYTHON = "/usr/bin/python3"
# An argument for a command that is not QEMU: with a placeholder `run` adds no words for QEMU and does not warn.
TOLD = "{lease}"
TRIES = 5
SLEEP = ("sh", "-c", "exec sleep 1000")
# Reports each signal that it gets, and ends at SIGTERM.
LISTENER = """
import os, signal, sys
signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT,
           signal.SIGWINCH, signal.SIGCONT}
def tell(text):
    os.write(2, (text + "\\n").encode())
heard = []
def hear(number, _):
    heard.append(signal.Signals(number).name)
    tell("heard " + heard[-1])
    if number == signal.SIGTERM:
        tell("all " + " ".join(heard))
        os._exit(5)
for number in signals:
    signal.signal(number, hear)
tell("pid %d " % os.getpid())
while True:
    signal.pause()
"""
# Ends at once and leaves three children: one ends at SIGTERM, one ignores it, one has left its session and parent.
LEAVER = """
import os, signal
def leave(prepare):
    reader, writer = os.pipe()
    if os.fork() == 0:
        prepare()
        os.write(writer, b"%d " % os.getpid())
        while True:
            signal.pause()
    return os.read(reader, 20)
def detach():
    os.setsid()
    if os.fork():
        os._exit(0)
pids = [leave(act) for act in (lambda: None, lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN), detach)]
os.write(1, b"".join(pids) + b"\\n")
os._exit(7)
"""


def state(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(") ")[2].split()[0]


def masks(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines())
    return {mask: int(status[mask], 16) for mask in ("SigBlk", "SigIgn", "SigCgt")}


class Supervised(BusRing):
    def start(self, *command, options=(), **settings):
        """Starts the client; returns it, and the command's pid with a descriptor that signals its end."""
        client = self.host.ctl_start("alice", *NAME, *options, "--", *command, TOLD, **settings)
        self.addCleanup(self._end, client)
        until(lambda: children(client.pid), "the client starts the command")
        return client, self.watch(children(client.pid)[0])

    def watch(self, pid):
        descriptor = os.pidfd_open(pid)
        self.addCleanup(os.close, descriptor)
        return pid, descriptor

    def assert_ended(self, watched, limit=HANGS):
        self.assertTrue(select.select([watched[1]], [], [], limit)[0], f"{watched[0]} still runs")

    def assert_ends(self, client, status):
        """Expects this status, no message, and that all is gone by then."""
        self.assertEqual(client.wait(), status)
        self.host.no_trace()
        self.assertEqual(client.stderr.read(), b"")


class Started(Supervised):
    def test_qemu(self):
        """QEMU's words name the devices, and the lease is one by name that ends with its caller's connection."""
        holder = self.run_stand_in("alice", "--hold", "name", "--count", "2", command=["-m", "64"])
        (lease,) = self.leases("alice")
        indexes = [tap["index"] for tap in lease["taps"]]
        self.assertEqual((lease["hold"], lease["attended"], len(indexes)), ("name", True, 2))
        self.assertEqual(holder.argv, ["-m", "64", *name_arguments(lease["taps"], netdev=ADDED)])
        self.assertEqual(holder.open, {})
        self.assertIsInstance(holder.tell("attach", lease["taps"][0]["name"], hex(TAP_FLAGS)), int)
        self.assertEqual(holder.end(), 0)
        self.host.no_trace()

    def test_placeholders(self):
        """Placeholders are filled with devices that can be opened; {fd0} is refused before anything is made."""
        holder = self.run_stand_in("alice", "--hold", "name", "--queues", "2", command=["{tap0}", "{mac0}"])
        (lease,) = self.leases("alice")
        self.assertEqual(holder.argv, [lease["taps"][0]["name"], lease["taps"][0]["mac"]])
        for _ in range(2):
            self.assertIsInstance(holder.tell("attach", holder.argv[0], hex(TAP_FLAGS | 0x0100)), int)
        self.assertEqual(holder.end(), 0)
        self.assert_refused(self.ctl("alice", *NAME, "--", "true", "{fd0}"), 2, "{fd0}", "{tap0}")
        self.host.no_trace()

    def test_many(self):
        """32 taps can be held, because no descriptors are passed."""
        holder = self.run_stand_in("alice", "--hold", "name", "--count", "32")
        self.assertEqual(len(holder.argv), 32 * 4)
        self.assertEqual(holder.end(), 0)
        self.host.no_trace()

    def test_process(self):
        """The command is the client's only child, in its process group and session, with unchanged signal settings."""
        client, (pid, _) = self.start(*SLEEP)
        self.assertEqual(children(client.pid), [pid])
        self.assertEqual((os.getpgid(pid), os.getsid(pid)), (os.getpgid(client.pid), os.getsid(client.pid)))
        until(lambda: os.readlink(f"/proc/{pid}/exe").endswith("/sleep"), "the child executes the command")
        self.assertEqual(masks(pid), {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0})
        until(lambda: {int(number) for number in os.listdir(f"/proc/{pid}/fd")} <= {0, 1, 2},
              "it has only the standard descriptors once its loader has finished")

    def test_ignored_signals(self):
        """The command inherits the caller's ignored signals, even SIGCHLD; its status is still reported."""
        ignored = (signal.SIGCHLD, signal.SIGINT)
        script = "import sys; print(flush=True); sys.stdin.read(); sys.exit(9)"
        client, (pid, _) = self.start(PYTHON, "-c", script, stdin=subprocess.PIPE, preexec_fn=lambda:
                                      [signal.signal(number, signal.SIG_IGN) for number in ignored])
        client.stdout.readline()
        bits = sum(1 << number - 1 for number in ignored)
        self.assertEqual(masks(pid)["SigIgn"] & bits, bits)
        client.stdin.close()
        self.assert_ends(client, 9)

    def test_cannot_start(self):
        """A script without its interpreter, which only execve reports, gives status 127 and leaves nothing."""
        script = f"{users.HOMES}/alice/script"
        with open(script, "w", encoding="ascii") as file:
            file.write("#!/no/such/interpreter\n")
        os.chmod(script, 0o755)
        self.addCleanup(os.unlink, script)
        self.assert_refused(self.ctl("alice", *NAME, "--", script, TOLD), 127, script)
        self.assert_refused(self.ctl("alice", *NAME, "--", "no-such-command", TOLD), 127, "no-such-command")
        self.host.no_trace()


class Ends(Supervised):
    def test_status(self):
        """The client's status is the command's, and the devices are gone when the client ends."""
        for status in (0, 1, 42, 255):
            with self.subTest(status=status):
                self.assertEqual(self.ctl("alice", *NAME, "--", "sh", "-c", f"exit {status}").status, status)
                self.host.no_trace()

    def test_signal(self):
        """If a signal ends the command, the client ends by the same signal after everything is gone."""
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT):
            with self.subTest(signal=number.name):
                client, (pid, _) = self.start(*SLEEP)
                os.kill(pid, number)
                self.assert_ends(client, -number)

    def test_client_terminated(self):
        """Signals sent to the client alone are forwarded once each; the client then ends as the command does."""
        client, watched = self.start(PYTHON, "-c", LISTENER)
        self.assertIn(b"pid", client.stderr.readline())
        heard = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT")
        for name in heard:
            client.send_signal(signal.Signals[name])
            self.assertEqual(client.stderr.readline().decode(), f"heard {name}\n")
        client.terminate()
        self.assertEqual(client.stderr.readline(), b"heard SIGTERM\n")
        self.assertEqual(client.stderr.readline().decode().split()[1:], [*heard, "SIGTERM"])
        self.assert_ends(client, 5)
        self.assert_ended(watched)

    def test_client_killed(self):
        """SIGKILL of the client: the command gets SIGTERM, and the devices are deleted without any further program."""
        client, watched = self.start(PYTHON, "-c", LISTENER)
        self.assertIn(b"pid", client.stderr.readline())
        started = time.monotonic()
        client.kill()
        self.assertEqual(client.wait(), -signal.SIGKILL)
        self.assert_ended(watched)
        self.assertEqual(client.stderr.read().splitlines()[0], b"heard SIGTERM")
        kernel.wait_for(lambda: not kernel.ours(), "the devices end with the client's connection")
        took = time.monotonic() - started
        self.shows = f"figure: client killed: command and devices gone after {1000 * took:.0f} ms"
        self.host.no_trace()
        self.assertEqual(self.leases("alice"), [])

    def test_client_killed_at_any_moment(self):
        """A client killed at any moment between its request and the command's end leaves no device and no command."""
        def end(client):
            client.kill()
            client.wait()
            kernel.wait_for(lambda: not kernel.ours(), "the devices end with the client")
        begun = time.monotonic()
        client = self.host.ctl_start("alice", *NAME, "--", *SLEEP)
        self.addCleanup(self._end, client)
        kernel.wait_for(kernel.ours, "the lease")
        took = time.monotonic() - begun
        end(client)
        met = 0
        for step in range(40):
            client = self.host.ctl_start("alice", *NAME, "--", *SLEEP)
            self.addCleanup(self._end, client)
            time.sleep(2 * took * step / 40)
            met += bool(kernel.ours())
            end(client)
        self.assertTrue(0 < met < 40, f"{met} of 40 were killed with a lease")
        until(lambda: not processes("sleep"), "the commands get SIGTERM")
        kernel.wait_for(lambda: not self.leases("root", "--all"), "no lease is made for a caller that is gone")
        self.host.no_trace()

    def test_left_behind(self):
        """Processes that the command leaves get SIGTERM, and SIGKILL a second later: none is left with a tap."""
        started = time.monotonic()
        done = self.ctl("alice", *NAME, "--", PYTHON, "-c", LEAVER, TOLD)
        took = time.monotonic() - started
        self.assertEqual((done.status, done.err), (7, ""))
        left = done.out.split()
        self.assertEqual(len(left), 3)
        self.assertEqual([pid for pid in left if os.path.exists(f"/proc/{pid}")], [])
        self.host.no_trace()
        self.assertGreater(took, 1, "no process waited for SIGKILL")

    def test_left_behind_by_a_killed_command(self):
        """Children of a killed command are ended too; if they end at SIGTERM there is no wait for SIGKILL."""
        self.assert_quick(signal.SIGKILL, "sleep 1000 & echo $!; wait", "S")

    def assert_quick(self, number, script, left_in):
        """Expects that after the signal ends the command the client ends its child, which is in the state `left_in`, in
        less than a second. On a busy machine one of several tries shows that."""
        took = []
        while len(took) < TRIES and min(took, default=1) >= 1:
            client, (pid, _) = self.start("sh", "-c", script)
            left = self.watch(int(client.stdout.readline()))
            until(lambda process=left[0]: state(process) == left_in, f"it is in the state {left_in}")
            started = time.monotonic()
            os.kill(pid, number)
            self.assert_ends(client, -number)
            took.append(time.monotonic() - started)
            self.assert_ended(left)
        self.assertLess(min(took), 1)

    def test_stopped_left_behind(self):
        """A stopped child of the command gets SIGTERM too."""
        self.assert_quick(signal.SIGTERM, "sleep 1000 & echo $!; kill -STOP $!; wait", "T")

    def test_stopped_without_terminal(self):
        """Without a terminal, and so without job control, the client does not stop with the command."""
        client, (pid, _) = self.start(*SLEEP, start_new_session=True)
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state(pid) == "T", "it is stopped")
        client.terminate()
        os.kill(pid, signal.SIGCONT)
        self.assert_ends(client, -signal.SIGTERM)

    def test_not_the_commands(self):
        """A child that the client's process had before it executed the client is not ended."""
        script = 'sleep 1000 & echo $!; exec qemu-tapctl run --hold name -- true'
        self.host.programs()
        done = self.host.start("alice", "sh", "-c", script)
        self.addCleanup(self._end, done)
        pid = int(done.stdout.readline())
        self.assertEqual(done.wait(), 0)
        self.assertEqual(state(pid), "S")
        os.kill(pid, signal.SIGKILL)
        self.host.no_trace()

    def test_down(self):
        """`down` ends the lease while the command runs on, and its end is reported without a complaint."""
        holder = self.run_stand_in("alice", "--hold", "name", "--label", "vm", command=[TOLD])
        self.ok("alice", "down", "vm")
        self.host.no_trace()
        self.assertEqual(holder.tell("descriptors"), {})
        self.assertEqual(holder.end(3), 3)
        self.assertEqual(holder.popen.stderr.read(), b"")

    def test_daemon_gone(self):
        """Without a daemon the client ends with the command's status and a message; the next daemon ends the lease."""
        holder = self.run_stand_in("alice", "--hold", "name", command=[TOLD])
        self.host.daemon.kill()
        self.assertEqual(holder.end(3), 3)
        self.assertRegex(holder.popen.stderr.read().decode(), r"\Aqemu-tapctl: can't end lease \w{16}: [^\n]+\n\Z")
        self.host.restart_daemon()
        kernel.wait_for(lambda: not kernel.ours(), "the daemon notices that the caller is gone")
        self.host.no_trace()


class AtTerminal(Supervised):
    STOPPING = 'trap : INT; out=$1; shift; "$@" >"$out"; printf "\\nstopped %d\\n" $?; read -r _; fg >/dev/null; ' \
               'printf "\\nended %d\\n" $?; read -r _'

    def terminal(self, *command, **settings):
        self.host.programs()
        terminal = Terminal(self.host, "alice", "qemu-tapctl", *NAME, "--", *command, **settings)
        self.addCleanup(terminal.close)
        return terminal

    def listener(self, **settings):
        """Returns a terminal with the listener in the foreground, and the listener's pid."""
        terminal = self.terminal(PYTHON, "-c", LISTENER, **settings)
        return terminal, int(terminal.wait_for(r"pid (\d+) ").group(1))

    def test_interrupt(self):
        """^C reaches the command once, and the client waits for the command's reaction."""
        terminal, _ = self.listener()
        terminal.type("\x03")
        terminal.wait_for("heard SIGINT")
        os.kill(terminal.program(), signal.SIGTERM)
        self.assertEqual(terminal.wait_for(r"all ([A-Z ]+)").group(1), "SIGINT SIGTERM")
        self.assertEqual(terminal.ended(), 5)
        self.host.no_trace()

    def test_interrupted(self):
        """If ^C ends the command, the shell sees the client end by SIGINT too."""
        terminal = self.terminal(*SLEEP)
        until(lambda: children(terminal.program()), "the client starts the command")
        terminal.type("\x03")
        self.assertEqual(terminal.ended(), 128 + signal.SIGINT)
        self.host.no_trace()

    def test_stop_and_go_on(self):
        """^Z stops both, and the shell sees the client stop by SIGTSTP; `fg` continues both in the foreground."""
        terminal, pid = self.listener(script=self.STOPPING)
        client = terminal.program()
        terminal.type("\x1a")
        self.assertEqual(int(terminal.wait_for(r"stopped (\d+)").group(1)), 128 + signal.SIGTSTP)
        self.assertEqual((state(client), state(pid)), ("T", "T"))
        terminal.type("\n")
        terminal.wait_for("heard SIGCONT")
        until(lambda: "T" not in (state(client), state(pid)), "both go on")
        terminal.type("\x03")
        terminal.wait_for("heard SIGINT")
        os.kill(client, signal.SIGTERM)
        self.assertEqual(terminal.ended(), 5)
        self.host.no_trace()

    def test_stopped_by_itself(self):
        """A command that stops itself stops the client; SIGCONT to the client continues both."""
        terminal, pid = self.listener(script=self.STOPPING)
        os.kill(pid, signal.SIGSTOP)
        terminal.wait_for(r"stopped \d+")
        self.assertEqual(state(terminal.program()), "T")
        os.kill(terminal.program(), signal.SIGCONT)
        terminal.wait_for("heard SIGCONT")
        os.kill(terminal.program(), signal.SIGTERM)
        terminal.wait_for("all ")

    def test_size(self):
        """A change of the terminal's size reaches the command once."""
        terminal, pid = self.listener()
        fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("4H", 33, 99, 0, 0))
        terminal.wait_for("heard SIGWINCH")
        os.kill(terminal.program(), signal.SIGTERM)
        self.assertEqual(terminal.wait_for(r"all ([A-Z ]+)").group(1), "SIGWINCH SIGTERM")

    def hang_up(self, master):
        with open("/dev/null", "rb") as file:
            os.dup2(file.fileno(), master)

    def test_hang_up(self):
        """Command, client and devices end with the terminal."""
        terminal = self.terminal(*SLEEP)
        client = self.watch(terminal.program())
        until(lambda: children(client[0]), "the client starts the command")
        command = self.watch(children(client[0])[0])
        self.hang_up(terminal.master)
        self.assert_ended(client)
        self.assert_ended(command)
        kernel.wait_for(lambda: not kernel.ours(), "the lease ends")
        self.host.no_trace()

    def test_hang_up_without_shell(self):
        """Command and client end with the terminal too if the client leads the session and alone gets SIGHUP."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        client, command = self.start(*SLEEP, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                     preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.hang_up(master)
        self.assertEqual(client.wait(), -signal.SIGHUP)
        self.assert_ended(command)
        self.host.no_trace()
