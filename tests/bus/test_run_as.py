# SPDX-License-Identifier: MIT
"""`run --user`: root starts a user's QEMU, and everything about it is the user's: the lease, polkit's question, the
process. Nobody else can."""

import json
import os

from rig import kernel, users
from rig.bus import CALL
from ring import BusRing

CHECK = "org.freedesktop.PolicyKit1.Authority.CheckAuthorization"
AUTHORITY = "type='method_call',interface='org.freedesktop.PolicyKit1.Authority'"


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return {key: text.split() for key, text in (line.rstrip("\n").split(":\t", 1) for line in file)}


def environment_of(pid):
    with open(f"/proc/{pid}/environ", encoding="utf-8") as file:
        return dict(entry.split("=", 1) for entry in file.read().rstrip("\0").split("\0"))


class RunAs(BusRing):
    members = ("alice", "bob")

    def test_process(self):
        """The program has the user's uids, gids and groups, no capability, and no way back."""
        stand_in = self.run_stand_in("root", "--user", "alice")
        alice = str(users.USERS["alice"])
        status = status_of(stand_in.popen.pid)
        self.assertEqual(status["Uid"], [alice] * 4)
        self.assertEqual(status["Gid"], [alice] * 4)
        self.assertEqual(sorted(status["Groups"]), sorted([alice, str(users.GROUP_ID)]))
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(status[kind][0], 16), 0, kind)

    def test_environment(self):
        """HOME, USER, LOGNAME and SHELL are the user's; the rest of the environment is root's as it was."""
        stand_in = self.run_stand_in("root", "--user", "alice")
        environment = environment_of(stand_in.popen.pid)
        self.assertEqual({name: environment[name] for name in ("HOME", "USER", "LOGNAME", "SHELL")},
                         {"HOME": f"{users.HOMES}/alice", "USER": "alice", "LOGNAME": "alice", "SHELL": "/bin/sh"})
        self.assertEqual(environment["LANG"], "C.UTF-8")

    def test_lease(self):
        """The lease is the user's: listed as theirs, the device owned by them, gone with the program."""
        stand_in = self.run_stand_in("root", "--user", "alice", "--label", "vm")
        (lease,) = self.leases("alice")
        self.assert_grant(lease, "alice", [lease["taps"][0]["index"]], label="vm", hold="fd", qemu_args=[])
        self.assertEqual(self.leases("root"), [])
        self.assertEqual(stand_in.end(), 0)
        kernel.wait_for(lambda: not kernel.ours(), 10, "the tap ends with the program")
        self.host.no_trace()

    def test_limit(self):
        """The user's limit counts, not root's."""
        self.up("alice", "--count", "32")
        self.assert_refused(self.ctl("root", "run", "--user", "alice", "--", "true"), 6, "32")
        self.assertEqual(self.ctl("root", "run", "--user", "bob", "--", "true").status, 0)

    def test_authorisation(self):
        """polkit is asked about the user: one outside the group is refused, though root calls."""
        with self.host.connect() as ear:
            ear.watch(AUTHORITY)
            self.assert_refused(self.ctl("root", "run", "--user", "dave", "--", "true"), 4, "org.qemutap.acquire",
                                str(users.USERS["dave"]))
            question = ear.next(lambda message: message.kind == CALL and message.member == CHECK)
            self.assertEqual(question.body[1], "org.qemutap.acquire")
        self.host.no_trace()

    def test_command(self):
        """What the user may not execute is not executed: 126, and no tap is made for it."""
        program = f"{users.HOMES}/for-root"
        with open(program, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n")
        self.addCleanup(os.unlink, program)
        os.chmod(program, 0o700)
        self.assert_refused(self.ctl("root", "run", "--user", "alice", "--", program), 126, "not executable")
        self.assertEqual(self.ctl("root", "run", "--", program).status, 0)
        self.host.no_trace()

    def test_root(self):
        """--user root is root, as without."""
        stand_in = self.run_stand_in("root", "--user", "root")
        self.assertEqual(status_of(stand_in.popen.pid)["Uid"], ["0"] * 4)
        self.assertEqual([lease["uid"] for lease in json.loads(self.ok("root", "list", "--json"))], [0])


class Refused(BusRing):
    members = ("alice",)

    def test_not_root(self):
        """Nobody but root can name a user, not even themselves: 2, and nothing is made."""
        for user in ("alice", "bob", "root", "no-such-user"):
            with self.subTest(user=user):
                self.assert_refused(self.ctl("alice", "run", "--user", user, "--", "true"), 2, "root")
        self.host.no_trace()

    def test_unknown(self):
        """A name that nobody has, a number, and nothing at all are 2, and root does not stay root."""
        for name in ("no-such-user", "", "64101", "alice ", "alice\nbob", "\x1b[31m"):
            with self.subTest(name=name):
                self.assert_refused(self.ctl("root", "run", f"--user={name}", "--", "touch", "/run/rig/touched"), 2,
                                    "user")
                self.assertFalse(os.path.exists("/run/rig/touched"))
        self.host.no_trace()

    def test_other_verbs(self):
        """Only `run` becomes somebody: the other verbs have no such option."""
        for verb in (("up",), ("list",), ("down", "--all"), ("args", "x")):
            with self.subTest(verb=verb):
                self.assert_refused(self.ctl("root", verb[0], "--user", "alice", *verb[1:]), 2, "--user")
