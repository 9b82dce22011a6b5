# SPDX-License-Identifier: MIT
"""What the tests of the system ring share: one container for each module, reset before each test to the state right
after the packages' installation, and calls of the service that give an error's name."""

import json
import subprocess
import time
import unittest

from tests.system.container import NONE, Container, this_release

UNIT = "qemu-tapd.service"
CONFIGURATION = "/etc/qemu-tapd.conf"
DROP_IN = f"/run/systemd/system/{UNIT}.d/test.conf"
ERROR = "org.qemutap1.Error."
NO_LEASE = "0123456789abcdef"
# Runs in place of QEMU: holds its descriptors and ignores its arguments.
HOLDER = ("sh", "-c", "exec sleep 1000")
# Undoes what a test did to the machine, and removes what it left of the service.
RESET = f"""
systemctl unmask --quiet --runtime polkit.service
systemctl start polkit.service
rm -rf {CONFIGURATION} {DROP_IN}
systemctl daemon-reload
systemctl stop {UNIT}
systemctl reset-failed
for device in $(ip -o link | sed -n 's/^[0-9]*: \\([^:@]*\\).*/\\1/p'); do
    [ "$device" = lo ] || ip link delete "$device"
done
"""

_shared = []


def shared_container():
    if not _shared:
        _shared.append(Container())
    return _shared[0]


class Refused(Exception):
    """The service answered with an error."""

    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


class SystemRing(unittest.TestCase):
    """Each test starts with the packages installed, the service stopped, the group empty, and no device."""

    members = ()
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.container = shared_container()

    def setUp(self):
        self.container.root("sh", "-e", "-c", RESET)
        self.container.set_members(*self.members)
        # The journal before this point is of earlier tests.
        shown = self.container.root("journalctl", "--lines=0", "--show-cursor").out
        self.cursor = shown.partition("cursor: ")[2].strip()

    def log(self):
        """Return what the service, and systemd about it, have written since the start of the test."""
        self.container.root("journalctl", "--sync")
        after = [f"--after-cursor={self.cursor}"] if self.cursor else []
        return self.container.root("journalctl", "--no-pager", "--output=short-monotonic", f"--unit={UNIT}", *after).out

    def evidence(self):
        try:
            return f"{this_release()}, the journal of {UNIT}:\n{self.log()}"
        except (RuntimeError, subprocess.SubprocessError) as problem:
            return f"{this_release()}, the journal cannot be read: {problem}"

    # The service

    def configure(self, text):
        """Write the service's configuration, which it reads at its next start or reload."""
        self.container.write(CONFIGURATION, text)

    def drop_in(self, text):
        self.container.write(DROP_IN, text)
        self.container.root("systemctl", "daemon-reload")

    def is_running(self):
        return self.container.main_pid(UNIT) != 0

    def calls(self, user, *calls, login=NONE, together=False):
        """Call the service and return the outcome of each call, as calls.py describes it."""
        words = ["--together"] if together else []
        done = self.container.run(user, "python3", "/opt/tests/system/calls.py", *words, login=login,
                                  input=json.dumps(calls), timeout=90)
        self.assertEqual((done.status, done.err), (0, ""), done)
        return json.loads(done.out)

    def call(self, user, member, signature="", *arguments, login=NONE):
        """Make one call and return its values, or raise Refused."""
        (outcome,) = self.calls(user, [member, signature, arguments], login=login)
        if outcome["error"]:
            raise Refused(outcome["error"], outcome["text"])
        return outcome["values"]

    def assert_lasts(self, condition, seconds, what):
        """Require that the condition stays true for so long, for statements that nothing happens."""
        deadline = time.monotonic() + seconds
        self.container.wait_for(lambda: time.monotonic() > deadline or not condition(), what, seconds + 10)
        self.assertTrue(condition(), what)

    # The client

    def ok(self, user, *arguments, **words):
        """Run the client, which must succeed with nothing on stderr; return its stdout."""
        done = self.container.ctl(user, *arguments, **words)
        self.assertEqual((done.status, done.err), (0, ""), f"qemu-tapctl {' '.join(map(str, arguments))}: {done}")
        return done.out

    def up(self, user, *arguments, **words):
        return json.loads(self.ok(user, "up", "--json", *arguments, **words))

    def leases(self, user, *arguments, **words):
        return json.loads(self.ok(user, "list", "--json", *arguments, **words))
