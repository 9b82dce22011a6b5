# SPDX-License-Identifier: MIT
"""The service's life under systemd. It starts at the first call and exits when it is not needed. It starts again after
a call, after it was killed and after it hung, and it reloads its settings. None of this loses a call or a lease."""

import concurrent.futures
import json
import signal

from tests.system.container import Container
from tests.system.ring import HOLDER, UNIT, SystemRing

COLD_ROUNDS = 5
RACES = 200
RACERS = 4
EACH_SIDE = RACES // 10
KILLS = 20


class Life(SystemRing):
    members = ("alice", "bob")

    def started(self):
        """Return how often systemd has restarted the service by itself."""
        return int(self.container.show(UNIT, "NRestarts"))

    def wait_until_new(self, old):
        """Wait for the next main process to be ready; return its pid."""
        def ready():
            facts = self.container.show(UNIT, "MainPID", "ActiveState")
            pid = int(facts["MainPID"])
            return pid if facts["ActiveState"] == "active" and pid not in (0, old) else 0
        return self.container.wait_for(ready, f"{UNIT} runs again")

    def signal(self, number):
        self.container.root("systemctl", "kill", "--kill-who=main", f"--signal={number.name}", UNIT)

    def hold(self, user):
        """Start a program that holds a lease's descriptors until the end of the test, so the lease must be watched."""
        program = self.container.start(user, "qemu-tapctl", "run", "--", *HOLDER)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        return self.container.wait_for(lambda: self.leases(user), "the lease is there")[0]


class Activation(Life):
    def test_default(self):
        """Without a configuration the service exits half a minute after the last call."""
        self.assertEqual(self.container.ctl("alice", "list").status, 0)
        self.assertNotEqual(self.container.main_pid(), 0)
        self.container.wait_for_state(UNIT, "inactive")

    def test_bad_configuration(self):
        """With a bad configuration the client exits with 3 and says where to look; systemd starts the service once."""
        self.configure("pool = nonsense\n")
        done = self.container.ctl("alice", "list", timeout=60)
        self.assertEqual((done.status, done.out), (3, ""), done)
        self.assertIn("qemu-tapd could not be started", done.err)
        self.assertIn("systemctl status qemu-tapd", done.err)
        self.assertEqual((self.container.show(UNIT, "ActiveState"), self.started()), ("failed", 0))
        self.assertIn("nonsense", self.log())

    def test_nothing_before_the_first_call(self):
        """After the installation nothing runs and nothing is enabled; the first `up` starts the service."""
        with Container() as container:
            facts = container.show(UNIT, "ActiveState", "ActiveEnterTimestampMonotonic", "MainPID", "LoadState")
            self.assertEqual(facts, {"ActiveState": "inactive", "ActiveEnterTimestampMonotonic": "0", "MainPID": "0",
                                     "LoadState": "loaded"})
            self.assertEqual(container.root("systemctl", "is-enabled", UNIT, check=False).out, "disabled\n")
            self.assertEqual((container.taps(), container.root("pgrep", "-x", "qemu-tapd", check=False).out), ([], ""))
            container.set_members("alice")
            done = container.ctl("alice", "up", "--json")
            self.assertEqual((done.status, done.err), (0, ""), done)
            self.assertEqual(container.show(UNIT, "ActiveState"), "active")
            self.assertEqual(container.taps(), [json.loads(done.out)["taps"][0]["name"]])

    def test_cold_start(self):
        """`up` without a running service starts it and gives a tap, five times in a row."""
        seconds = []
        for _ in range(COLD_ROUNDS):
            self.container.root("systemctl", "stop", UNIT)
            self.assertFalse(self.is_running())
            done = self.container.ctl("alice", "up", "--json")
            self.assertEqual((done.status, done.err), (0, ""), done)
            seconds.append(done.seconds)
        self.assertEqual(len(self.leases("alice")), COLD_ROUNDS)
        self.shows = f"from the start of `up` to its end: {', '.join(f'{one * 1000:.0f}' for one in seconds)} ms"

    def test_idle_exit(self):
        """The idle service stays while there is a lease by name, and exits without one as inactive, not as failed."""
        self.configure("idle-exit = 1\n")
        grant = self.up("alice")
        pid = self.container.main_pid()
        self.assert_lasts(lambda: self.container.main_pid() == pid, 2.5, "the service stays while there are taps")
        self.assertEqual(self.leases("alice"), [grant])
        self.ok("alice", "down", grant["lease"])
        self.container.wait_for_state(UNIT, "inactive", "failed")
        self.assertEqual(self.container.show(UNIT, "Result", "ActiveState", "ExecMainStatus"),
                         {"Result": "success", "ActiveState": "inactive", "ExecMainStatus": "0"})
        self.assertEqual(self.leases("alice"), [])
        self.assertTrue(self.is_running())
        self.assertEqual(self.started(), 0)

    def test_stays_while_needed(self):
        """The service stays while a program holds a lease's descriptors, and exits after that program's end."""
        self.configure("idle-exit = 1\n")
        program = self.container.start("bob", "qemu-tapctl", "run", "--", *HOLDER)
        self.container.wait_for(self.container.taps, "the tap is there")
        pid = self.container.main_pid()
        self.assert_lasts(lambda: self.container.main_pid() == pid, 2.5, "the service stays while the lease needs it")
        program.kill()
        program.wait()
        self.container.wait_for_state(UNIT, "inactive", "failed")
        self.assertEqual(self.container.show(UNIT, "Result"), "success")
        self.assertEqual(self.container.taps(), [])


class Race(Life):
    def test_no_call_is_lost(self):
        """Each of 200 calls at random moments around the service's idle exit is answered."""
        # Either the exiting service answers or the next one. Many answers of both kinds show that the moment was hit.
        containers = [self.container, *(Container() for _ in range(RACERS - 1))]
        for other in containers[1:]:
            self.addCleanup(other.close)
        with concurrent.futures.ThreadPoolExecutor(RACERS) as pool:
            answers = [answer for found in pool.map(self.race, containers) for answer in found]
        same = sum(answer["same"] for answer in answers)
        slowest = max(answer["waited"] for answer in answers)
        self.shows = f"{len(answers)} calls, {same} answered by the exiting service, " \
                     f"{len(answers) - same} by the next one, the slowest in {slowest * 1000:.0f} ms"
        self.assertEqual([answer["answer"] for answer in answers], [[[]]] * RACES)
        self.assertGreaterEqual(min(same, len(answers) - same), EACH_SIDE, self.shows)

    def race(self, container):
        container.write("/etc/qemu-tapd.conf", "idle-exit = 1\n")
        done = container.run("bob", "python3", "/opt/tests/system/racer.py", RACES // RACERS, 1, timeout=250)
        self.assertEqual((done.status, done.err), (0, ""), done)
        self.assertEqual(container.show(UNIT, "NRestarts", "Result"), {"NRestarts": "0", "Result": "success"})
        return [json.loads(line) for line in done.out.splitlines()]


class Accidents(Life):
    def test_hang(self):
        """systemd's watchdog replaces a service that hangs; leases of both holds stay."""
        self.drop_in("[Service]\nWatchdogSec=5\n")
        named, held = self.up("alice"), self.hold("bob")
        old = self.container.main_pid()
        self.signal(signal.SIGSTOP)
        self.wait_until_new(old)
        self.assertEqual(self.started(), 1)
        self.assertIn("atchdog", self.log())
        self.assertEqual(self.leases("alice"), [named])
        self.assertEqual(self.leases("bob"), [held])

    def test_watchdog_is_fed(self):
        """The watchdog does not touch a service that does not hang."""
        self.drop_in("[Service]\nWatchdogSec=5\n")
        self.hold("bob")
        pid = self.container.main_pid()
        moment = int(self.container.show(UNIT, "WatchdogTimestampMonotonic"))
        self.container.wait_for(lambda: int(self.container.show(UNIT, "WatchdogTimestampMonotonic")) > moment + 8e6,
                                "the watchdog is notified for longer than its limit")
        self.assertEqual((self.container.main_pid(), self.started()), (pid, 0))

    def test_killed(self):
        """systemd restarts a killed service that must watch a lease, and the lease ends with its holder."""
        program = self.container.start("bob", "qemu-tapctl", "run", "--", *HOLDER)
        self.container.wait_for(self.container.taps, "the tap is there")
        (held,) = self.leases("bob")
        old = self.container.main_pid()
        self.signal(signal.SIGKILL)
        self.wait_until_new(old)
        self.assertEqual(self.leases("bob"), [held])
        program.kill()
        program.wait()
        self.container.wait_for(lambda: not self.container.taps(), "the lease ends with its holder")

    def test_killed_again_and_again(self):
        """systemd restarts the service each time it is killed, 20 times in a row, and no lease is lost."""
        named, held = self.up("alice"), self.hold("bob")
        for _ in range(KILLS):
            old = self.container.main_pid()
            self.signal(signal.SIGKILL)
            self.wait_until_new(old)
        self.assertEqual(self.started(), KILLS)
        self.assertEqual(self.leases("root", "--all"), [named, held])


class Administration(Life):
    def reload(self, text):
        """Reload with these settings; return the log's lines about it. The unit is `reloading` until then."""
        self.configure(text)
        before = len(self.log())
        self.container.root("systemctl", "reload", UNIT)

        def told():
            return [line for line in self.log()[before:].splitlines() if "reloaded" in line]
        return self.container.wait_for(told, "the service logs the reload")

    def test_reload(self):
        """`systemctl reload` applies changed settings and logs what changed; leases and the process stay."""
        grant = self.up("alice")
        pid = self.container.main_pid()
        (line,) = self.reload("pool = 10.77.0.0/16\n")
        self.assertIn("pool 192.168.0.0/16 is 10.77.0.0/16 now", line)
        self.assertEqual(self.up("bob")["taps"][0]["gateway"][:6], "10.77.")
        self.assertEqual((self.leases("alice"), self.container.main_pid()), ([grant], pid))
        self.assertEqual(self.container.show(UNIT, "ActiveState"), "active")

    def test_reload_of_nonsense(self):
        """A configuration with an error is logged and not applied at all; the service runs with its old settings."""
        self.up("alice")
        pid = self.container.main_pid()
        (line,) = self.reload("first-index = 99\npool = nonsense\n")
        self.assertIn("not reloaded", line)
        self.assertIn("nonsense", line)
        self.assertEqual(self.up("bob")["taps"][0]["name"], "tap9")
        self.assertEqual((self.container.main_pid(), self.container.show(UNIT, "ActiveState")), (pid, "active"))

    def test_restart(self):
        """`systemctl restart` keeps every lease, even one that a program holds, and the program does not notice."""
        named, held = self.up("alice"), self.hold("bob")
        old = self.container.main_pid()
        self.container.root("systemctl", "restart", UNIT)
        self.assertNotEqual(self.container.main_pid(), old)
        self.assertEqual(self.leases("root", "--all"), [named, held])

    def test_stop(self):
        """`systemctl stop` ends the service and no lease; the service does not run until the next call."""
        grant = self.up("alice")
        self.container.root("systemctl", "stop", UNIT)
        self.assertEqual(self.container.show(UNIT, "ActiveState", "Result"),
                         {"ActiveState": "inactive", "Result": "success"})
        self.assertEqual(self.container.taps(), [grant["taps"][0]["name"]])
        self.assertEqual(self.leases("alice"), [grant])

    def test_enable(self):
        """An administrator can enable the service from boot on, and disable it again."""
        self.container.root("systemctl", "enable", "--now", UNIT)
        self.addCleanup(self.container.root, "systemctl", "disable", UNIT)
        self.assertEqual(self.container.root("systemctl", "is-enabled", UNIT).out, "enabled\n")
        self.assertTrue(self.is_running())
        wanted = self.container.show("multi-user.target", "Wants").split()
        self.assertIn(UNIT, wanted)
        self.assertEqual(self.leases("alice"), [])
