# SPDX-License-Identifier: MIT
"""A service whose output dbus-daemon no longer reads, because too many bytes of its answers are undelivered (I8). The
service cannot prevent that: no service can see what its callers have read. It notices, logs and ends. A new one serves,
although the bus still gives the name to the dead one."""

import time

import pytest

from tests.bus.ring import MANAGER
from tests.bus.unread import Unread

pytestmark = pytest.mark.early

INTROSPECT = (*MANAGER[:2], "org.freedesktop.DBus.Introspectable.Introspect")
# dbus-daemon's max_incoming_bytes, and max_outgoing_bytes; max_replies_per_connection is 128.
MOST_UNREAD, AT_ONCE = 127 * 1024 * 1024, 120
LIMIT_SECONDS = 10
# A service without an answer for both times is silent; after the first alone the machine may just have been slow.
PATIENCE = (4, 3)


class Bytes(Unread):
    def is_served(self, bus):
        serial = self.send(bus, "List", "a{sv}", {})
        for timeout in PATIENCE:
            try:
                bus.reply(serial, timeout)
                return True
            except TimeoutError:
                pass
        return False

    def gorge(self, bus, probe, calls):
        """Requests long answers and reads none; returns False as soon as the service no longer answers anyone."""
        for _ in range(0, calls, AT_ONCE):
            for _ in range(AT_ONCE):
                bus.send(*INTROSPECT)
            if not self.is_served(probe):
                return False
        return True

    def silence(self):
        """Returns when the service no longer answers anyone."""
        probe = self.connect("dave")
        (page,) = probe.call(*INTROSPECT)
        calls = MOST_UNREAD // len(page)
        for caller in (self.connect("dave"), self.connect("dave")):
            if not self.gorge(caller, probe, calls):
                return
        self.fail("the bus still reads from the service")

    def test_stopped(self):
        """A service that the bus no longer reads from ends at once when stopped, and the next one serves (I8)."""
        self.silence()
        self.assertIsNone(self.host.daemon.popen.poll())
        self.assertIn(self.host.daemon.terminate(), (0, 1))
        self.host.start_daemon()
        self.ok("bob", "run", "--", "true")

    def test_two_callers(self):
        """If two callers read no answers the service ends within 10 s of silence, says why, and the next serves (I8).
        The next one serves although its predecessor still owns the bus name."""
        start = time.monotonic()
        self.silence()
        silent = time.monotonic()
        self.assertEqual(self.host.daemon.wait(LIMIT_SECONDS + 20), 1)
        ended = time.monotonic()
        (line,) = [line for line in self.host.daemon.log().splitlines() if "error: " in line]
        self.assertIn(f"the bus has read nothing of what we wrote for {LIMIT_SECONDS} s", line)
        root = self.connect("root")
        self.assertIsNotNone(root.owner_of(MANAGER[0]), "the bus has noticed the end, so this test proves nothing")
        self.host.start_daemon()
        self.assertTrue(self.is_served(root))
        self.ok("bob", "run", "--", "true")
        self.shows = (f"silent after {silent - start:.1f} s of calls, ended {ended - silent + sum(PATIENCE):.1f} s later, served "
                      f"{time.monotonic() - ended:.1f} s after that")
