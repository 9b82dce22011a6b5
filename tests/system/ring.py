# SPDX-License-Identifier: MIT
"""What the modules of the system ring share: one container for the whole module, put back into the state of a machine
on which the packages were just installed before each test, and calls of the service whose errors have names."""

import json
import subprocess
import time
import unittest

from container import NONE, Container, this_release

UNIT = "qemu-tapd.service"
CONFIGURATION = "/etc/qemu-tapd.conf"
DROP_IN = f"/run/systemd/system/{UNIT}.d/test.conf"
ERROR = "org.qemutap1.Error."
NO_LEASE = "0123456789abcdef"
# In the place of QEMU: holds its descriptors and takes no notice of its arguments.
HOLDER = ("sh", "-c", "exec sleep 1000")
# Whatever a test did to the machine is undone; whatever it left of the service's is taken away.
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
    """Each test begins with the packages installed, nothing of theirs running, nobody in the group, no device."""

    members = ()
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.container = shared_container()

    def setUp(self):
        self.container.root("sh", "-e", "-c", RESET)
        self.container.set_members(*self.members)
        # What the journal said before is another test's.
        shown = self.container.root("journalctl", "--lines=0", "--show-cursor").out
        self.cursor = shown.partition("cursor: ")[2].strip()

    def log(self):
        """What the service, and systemd about it, have written since the test began."""
        self.container.root("journalctl", "--sync")
        after = [f"--after-cursor={self.cursor}"] if self.cursor else []
        return self.container.root("journalctl", "--no-pager", "--output=short-monotonic", f"--unit={UNIT}", *after).out

    def evidence(self):
        try:
            return f"{this_release()}, the journal of {UNIT}:\n{self.log()}"
        except (RuntimeError, subprocess.SubprocessError) as problem:
            return f"{this_release()}, whose journal can't be read: {problem}"

    # The service

    def configure(self, text):
        """Its configuration, read at its next start or reload."""
        self.container.write(CONFIGURATION, text)

    def drop_in(self, text):
        self.container.write(DROP_IN, text)
        self.container.root("systemctl", "daemon-reload")

    def is_running(self):
        return self.container.main_pid(UNIT) != 0

    def calls(self, user, *calls, login=NONE, together=False):
        """Calls of the service: the outcome of each, as calls.py tells them."""
        words = ["--together"] if together else []
        done = self.container.run(user, "python3", "/opt/tests/system/calls.py", *words, login=login,
                                  input=json.dumps(calls), timeout=90)
        self.assertEqual((done.status, done.err), (0, ""), done)
        return json.loads(done.out)

    def call(self, user, member, signature="", *arguments, login=NONE):
        """One call: its values, or Refused."""
        (outcome,) = self.calls(user, [member, signature, arguments], login=login)
        if outcome["error"]:
            raise Refused(outcome["error"], outcome["text"])
        return outcome["values"]

    def assert_lasts(self, condition, seconds, what):
        """For the few statements that are about nothing happening."""
        deadline = time.monotonic() + seconds
        self.container.wait_for(lambda: time.monotonic() > deadline or not condition(), seconds + 10, what)
        self.assertTrue(condition(), what)

    # The client

    def ok(self, user, *arguments, **words):
        """Runs the client, which must succeed and have nothing to complain of; returns its stdout."""
        done = self.container.ctl(user, *arguments, **words)
        self.assertEqual((done.status, done.err), (0, ""), f"qemu-tapctl {' '.join(map(str, arguments))}: {done}")
        return done.out

    def up(self, user, *arguments, **words):
        return json.loads(self.ok(user, "up", "--json", *arguments, **words))

    def leases(self, user, *arguments, **words):
        return json.loads(self.ok(user, "list", "--json", *arguments, **words))
