# SPDX-License-Identifier: MIT
"""The daemon gives up root before it reads its first message, however it is started, and cannot regain it. Where it has
to stay root it says so."""

import json
import os
import signal
import stat
import subprocess
import sys

from tests.bus.ring import BusRing
from tests.lib import furnish, kernel, users
from tests.lib.host import BUS_POLICY
from tests.lib.process import until

CAP_NET_ADMIN = 1 << 12
SERVICES = f"{furnish.RIG}/services"
CONFIGURATION = "/etc/qemu-tapd.conf"


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return {name: text.split() for name, _, text in (line.partition(":") for line in file)}


class Privileges(BusRing):
    options = None

    def outcomes(self, pid):
        done = subprocess.run([sys.executable, "-m", "tests.lib.inside", str(pid)], stdout=subprocess.PIPE, text=True,
                              check=True, timeout=60)
        return json.loads(done.stdout)

    def assert_given_up(self, pid):
        """Expects only the user's identity and CAP_NET_ADMIN, and that everything an intruder would try is refused."""
        found = status_of(pid)
        ours = [str(users.SERVICE_ID)] * 4
        self.assertEqual((found["Uid"], found["Gid"]), (ours, ours))
        masks = {name: int(found[name][0], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
        self.assertEqual(masks, {"CapInh": 0, "CapPrm": CAP_NET_ADMIN, "CapEff": CAP_NET_ADMIN, "CapBnd": 0, "CapAmb": 0})
        self.assertEqual((found["NoNewPrivs"], found["Seccomp"]), (["1"], ["2"]))
        outcomes = self.outcomes(pid)
        done = [deed for deed, reason in outcomes.items() if reason is None]
        self.shows = f"{len(outcomes)} acts of an intruder tried inside, {len(done)} succeeded"
        self.assertEqual(done, [], outcomes)

    def warnings(self):
        with open(self.log, encoding="utf-8") as file:
            return [line for line in file if ": warning: " in line]


class GivenUp(Privileges):
    def test_by_hand(self):
        """Started by root by hand, the daemon runs as its user with CAP_NET_ADMIN alone, and serves."""
        daemon = self.host.start_daemon()
        self.assert_given_up(daemon.pid)
        self.assert_grant(self.up("alice"), "alice", [8])
        self.assertEqual(self.warnings(), [])

    def test_by_the_bus(self):
        """Started by the bus without systemd, the daemon runs as its user with CAP_NET_ADMIN alone, and serves."""
        os.makedirs(SERVICES, exist_ok=True)
        options = " ".join(self.host.daemon_command("--idle-exit=0"))
        with open(f"{SERVICES}/org.qemutap1.service", "w", encoding="ascii") as file:
            file.write(f"[D-BUS Service]\nName=org.qemutap1\nUser=root\nExec={options}\n")
        self.host.close()
        with open(f"{BUS_POLICY}/services.conf", "w", encoding="ascii") as file:
            file.write(f"<busconfig><servicedir>{SERVICES}</servicedir></busconfig>")
        self.addCleanup(os.unlink, f"{BUS_POLICY}/services.conf")
        self.host.start_bus()
        self.host.start_polkit()
        self.assert_grant(self.up("alice"), "alice", [8])
        with self.host.connect() as bus:
            (pid,) = bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus",
                              "org.freedesktop.DBus.GetConnectionUnixProcessID", "s", "org.qemutap1")
        self.addCleanup(self.end, pid)
        self.assert_given_up(pid)

    def end(self, pid):
        """Ends the daemon and then the bus, its parent, which reaps it."""
        os.kill(pid, signal.SIGKILL)
        self.host.close()
        until(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon is gone with its bus")

    def test_groups(self):
        """The daemon has its user's groups, including kvm for vhost-net, and none of root's."""
        os.setgroups([0, 4])
        self.addCleanup(os.setgroups, [])
        daemon = self.host.start_daemon()
        self.assertEqual({int(word) for word in status_of(daemon.pid)["Groups"]}, {users.SERVICE_ID, users.KVM_ID})

    def test_reload(self):
        """At a reload of a file that only root can read the options stay as they are, and a log line says so."""
        with open(CONFIGURATION, "w", encoding="ascii") as file:
            file.write("max-taps-per-user = 1\n")
        self.addCleanup(os.unlink, CONFIGURATION)
        os.chmod(CONFIGURATION, 0o600)
        daemon = self.host.start_daemon()
        self.up("alice")
        daemon.send(signal.SIGHUP)
        until(lambda: "not reloaded" in daemon.log(), "the log has the line")
        (line,) = [line for line in daemon.log().splitlines() if "not reloaded" in line]
        self.assertIn(f"can't read the configuration file {CONFIGURATION}: Permission denied", line)
        self.assertIn("make it readable for the user that the service runs as", line)
        self.assert_refused(self.ctl("alice", "up"), 6, "may hold 1")


class StaysRoot(Privileges):
    def closed_tun(self):
        furnish.place_tun(0o600)
        self.addCleanup(furnish.place_tun)

    def assert_root(self, pid):
        found = status_of(pid)
        self.assertEqual(found["Uid"], ["0"] * 4)
        masks = {name: int(found[name][0], 16) for name in ("CapPrm", "CapEff", "CapBnd")}
        self.assertEqual(masks, {"CapPrm": CAP_NET_ADMIN, "CapEff": CAP_NET_ADMIN, "CapBnd": 0})
        self.assertEqual(found["Seccomp"], ["2"])

    def test_closed_tun(self):
        """Where only root can open /dev/net/tun the daemon stays root, serves, and logs the remedy once."""
        self.closed_tun()
        daemon = self.host.start_daemon()
        self.up("root")
        self.assert_root(daemon.pid)
        (line,) = self.warnings()
        for words in ("stays root", users.SERVICE, "chmod 666 /dev/net/tun"):
            self.assertIn(words, line)

    def test_closed_tun_and_demanded(self):
        """If the configuration names the user there, the daemon ends with status 9 and an error with the remedy."""
        self.closed_tun()
        done = self.host.failing_daemon("--user", users.SERVICE)
        self.assertEqual((done.status, done.out), (9, ""), done)
        self.assertIn("chmod 666 /dev/net/tun", done.err)

    def test_no_account(self):
        """Without its user's account the daemon stays root, serves, and logs the remedy once."""
        users.take_service_away()
        self.addCleanup(users.set_members, *self.members)
        self.addCleanup(users.add_users)
        daemon = self.host.start_daemon()
        self.up("root")
        self.assert_root(daemon.pid)
        (line,) = self.warnings()
        for words in ("stays root", users.SERVICE, "systemd-sysusers"):
            self.assertIn(words, line)

    def test_no_account_and_demanded(self):
        """A user that the configuration names must exist: otherwise the daemon ends with status 2 and names it."""
        done = self.host.failing_daemon("--user", "no-such-user")
        self.assertEqual((done.status, done.out), (2, ""), done)
        self.assertIn("no-such-user", done.err)

    def test_by_choice(self):
        """`user = root` keeps the daemon root, with a warning."""
        daemon = self.host.start_daemon("--user", "root")
        self.assert_root(daemon.pid)
        (line,) = self.warnings()
        self.assertIn("runs as root", line)

    def test_tun_without_module(self):
        """The daemon does not stay root because /dev/net/tun is missing."""
        os.unlink("/dev/net/tun")
        self.addCleanup(furnish.place_tun)
        daemon = self.host.start_daemon()
        self.assertEqual(status_of(daemon.pid)["Uid"], [str(users.SERVICE_ID)] * 4)
        self.assert_refused(self.ctl("alice", "up"), 9, "/dev/net/tun")


class Files(Privileges):
    def test_from_before(self):
        """A file for runqemu that an earlier version made as root is removed with its lease."""
        directory, name = furnish.RUNQEMU_LOCKS, "tap8.skip"
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o1777)
        with open(f"{directory}/{name}", "w", encoding="ascii") as file:
            file.write("A tap of qemu-tapd, not for runqemu: see qemu-tapctl(1), list.\n")
        os.chmod(f"{directory}/{name}", 0o444)
        self.host.start_daemon()
        grant = self.up("alice")
        facts = os.stat(f"{directory}/{name}")
        self.assertEqual((facts.st_uid, stat.S_IMODE(facts.st_mode)), (users.SERVICE_ID, 0o444))
        self.ok("alice", "down", grant["lease"])
        self.assertNotIn(name, os.listdir(directory))
        self.assertEqual(self.warnings(), [])

    def test_leases_from_before(self):
        """Leases of both holds that the service gave as root stay unchanged and end like any others."""
        self.host.start_daemon("--user", "root")
        grant = self.up("alice", "--count", "2", "--label", "kept")
        program = self.run_stand_in("bob", command=["-machine", "none"])
        before, devices = self.ok("root", "list", "--all", "--json"), kernel.snapshot()
        self.host.restart_daemon()
        self.assertEqual(status_of(self.host.daemon.pid)["Uid"], [str(users.SERVICE_ID)] * 4)
        self.assertEqual((self.ok("root", "list", "--all", "--json"), kernel.snapshot()), (before, devices))
        self.ok("alice", "down", grant["lease"])
        program.end()
        until(lambda: not kernel.ours(), "all taps are gone")
        self.host.no_trace()
        until(lambda: not os.listdir(furnish.RUNQEMU_LOCKS), "no file for runqemu is left")
