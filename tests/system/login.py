# SPDX-License-Identifier: MIT
"""A user's login in a container. polkit's answer depends on the kind of the caller's login, so each kind is made as on
a real machine, by PAM and logind. polkit and logind confirm the kind before a test uses it."""

import contextlib
import json
import subprocess
import threading

from tests.lib.host import Done
from tests.lib.process import HANGS

# polkit's words for the kinds, and the exit status of pkcheck for the action rig.login.kind (see roots.py).
NONE, REMOTE, INACTIVE, ACTIVE = KINDS = ("none", "remote", "inactive", "active")
PROBED = {NONE: 1, REMOTE: 1, INACTIVE: 2, ACTIVE: 0}
AGENT = "/opt/tests/system/agent.py"
PROPERTIES = {
    NONE: [],
    REMOTE: ["--property=PAMName=login"],
    # A seat without screens. logind makes the newest login there the active one, or the one named by `loginctl
    # activate`.
    ACTIVE: ["--property=PAMName=login", "--setenv=XDG_SEAT=seat0", "--setenv=XDG_SESSION_CLASS=user",
             "--setenv=XDG_SESSION_TYPE=wayland"],
}
PROPERTIES[INACTIVE] = PROPERTIES[ACTIVE]


class Timed(Done):
    """The outcome of a command, and how many seconds its user waited for it."""

    def __init__(self, status, out, err, seconds):
        super().__init__(status, out, err)
        self.seconds = seconds


class TookTooLong(AssertionError):
    """The command was killed at its time limit."""


class Started:
    """A command that runs."""

    def __init__(self, login, pid, log):
        self.login = login
        self.pid = pid
        self.log_path = log

    def log(self):
        return self.login.container.read(self.log_path)

    def wait(self, timeout=HANGS):
        """Return its exit status, negative for a signal."""
        return self.login.order("wait", timeout, pid=self.pid)["status"]

    def kill(self, number=9):
        self.login.order("kill", pid=self.pid, signal=int(number))


class Login:
    """One user's login of one kind. Several threads may run commands in it at once."""

    def __init__(self, container, user, kind):
        self.container = container
        self.user = user
        self.kind = kind
        self.replies = {}
        self.count = 0
        self.changed = threading.Condition()
        argv = container.entering("systemd-run", "--quiet", "--collect", "--wait", "--pipe", f"--uid={user}",
                                  "--setenv=LANG=C.UTF-8", "--setenv=PYTHONPATH=/opt", *PROPERTIES[kind], "--",
                                  "/usr/bin/python3", AGENT)
        self.popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.popen.stdout.readline()
        if not line:
            raise RuntimeError(f"no {kind} login of {user}: {self.popen.communicate()[1]!r}")
        first = json.loads(line)
        self.id, self.pid = first["login"], first["pid"]
        threading.Thread(target=self._listen, daemon=True).start()
        self.prove()

    def close(self):
        """Log the user out."""
        self.popen.stdin.close()
        self.popen.wait()
        self.forget()
        if self.id:
            known = ("loginctl", "show-session", self.id)
            self.container.wait_for(lambda: self.container.root(*known, check=False).status,
                                    f"the {self.kind} login of {self.user} ends")

    def forget(self):
        """Clean up after the login or its container has ended."""
        self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    # The kind of the login

    def facts(self):
        done = self.container.root("loginctl", "show-session", self.id)
        return dict(line.split("=", 1) for line in done.out.splitlines() if "=" in line)

    def prove(self):
        """Require that polkit and logind confirm the kind of login that commands here come from."""
        self.settle()
        done = self.container.root("pkcheck", "--action-id", "rig.login.kind", "--process", str(self.pid), check=False)
        wanted = 0 if self.user == "root" else PROBED[self.kind]
        if done.status != wanted:
            raise RuntimeError(f"not a {self.kind} login of {self.user}: pkcheck says {done}")
        if (self.kind == NONE) != (self.id == ""):
            raise RuntimeError(f"logind's number of a {self.kind} login of {self.user}: {self.id!r}")

    def settle(self):
        """Make the login active or inactive again, in case another one at the seat was opened since."""
        if self.kind == ACTIVE and self.facts()["Active"] != "yes":
            self.container.root("loginctl", "activate", self.id)
            self._expect("Active", "yes")
        if self.kind == INACTIVE and self.facts()["Active"] != "no":
            self.container.root("loginctl", "activate", self.container.sitter().id)
            self._expect("Active", "no")

    def _expect(self, key, text):
        facts = self.facts()
        if facts[key] != text:
            raise RuntimeError(f"a {self.kind} login of {self.user} with {facts}")

    # Commands

    def _listen(self):
        for line in self.popen.stdout:
            reply = json.loads(line)
            with self.changed:
                self.replies[reply["id"]] = reply
                self.changed.notify_all()
        with self.changed:
            self.replies[None] = None
            self.changed.notify_all()

    def send(self, what, timeout=HANGS, **words):
        """Send an order and return its number."""
        with self.changed:
            self.count += 1
            number = self.count
            line = json.dumps({"id": number, "do": what, "timeout": timeout, **words})
            self.popen.stdin.write(line.encode() + b"\n")
            self.popen.stdin.flush()
        return number

    def reply(self, number, timeout):
        """Wait for the answer to an order. The agent keeps the time limit; this one only detects the agent's end."""
        with self.changed:
            self.changed.wait_for(lambda: number in self.replies or None in self.replies, timeout + 10)
            answer = self.replies.pop(number, None)
        if answer is None:
            raise RuntimeError(f"the {self.kind} login of {self.user} is gone: {self.popen.poll()}")
        if "errno" in answer:
            raise OSError(answer["errno"], answer["problem"])
        if "late" in answer:
            raise TookTooLong(f"not over within {timeout} s; it printed {answer['late']!r}")
        return answer

    def order(self, what, timeout=HANGS, **words):
        return self.reply(self.send(what, timeout, **words), timeout)

    def begin(self, *argv, timeout=HANGS, **words):
        """Start a command, and return a function that waits for its Timed. So several commands can run at once."""
        self.settle()
        number = self.send("run", timeout, argv=[str(word) for word in argv], **words)

        def end():
            answer = self.reply(number, timeout)
            return Timed(answer["status"], answer["out"], answer["err"], answer["seconds"])
        return end

    def run(self, *argv, **words):
        """Run a command to its end. Further words: timeout (s), input (text), environment, folder."""
        return self.begin(*argv, **words)()

    def start(self, *argv, log=None, **words):
        """Start a command and let it run; its output is written to a file."""
        self.settle()
        log = log or f"/tmp/{self.user}-{self.kind}-{self.count}.log"
        pid = self.order("start", argv=[str(word) for word in argv], log=log, **words)["pid"]
        return Started(self, pid, log)

