# SPDX-License-Identifier: MIT
"""What the tests of the faults ring share that run on a scratch host: the bus ring's daemon and callers, the form of
this run, and a test's figures."""

import concurrent.futures
import os

from tests.bus.ring import MANAGER, BusRing, error_name, half_made_lease  # noqa: F401
from tests.faults.figures import FULL, Figures, rounds  # noqa: F401 (tests import these from here)
from tests.lib.process import until

KEPT_CHILDREN = 3


def close_all(descriptors):
    """Close descriptors in parallel: the kernel takes 16 ms to delete one tap, and hardly longer to delete many."""
    with concurrent.futures.ThreadPoolExecutor(16) as closers:
        list(closers.map(os.close, descriptors))


def descriptors_at_rest(pid):
    """Count the daemon's descriptors while it deletes no tap. The daemon keeps three children. The further ones, which
    delete taps, have two descriptors each and exit when the deletion is done."""
    until(lambda: len(children(pid)) <= KEPT_CHILDREN, "the daemon keeps no more children than at its start")
    return len(os.listdir(f"/proc/{pid}/fd"))


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return file.read().split()


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmRSS:"))
    return int(line.split()[1])


class FaultsRing(Figures, BusRing):
    """The base of the tests of this ring on a scratch host."""

    def evidence(self):
        """Return the unusual lines and the last lines of the log, which can be thousands of lines long."""
        lines = super().evidence().splitlines()
        odd = [line for line in lines[:-20] if not line.startswith("qemu-tapd: info: ")]
        return "\n".join([*odd[:20], "the last lines:", *lines[-20:]])

    def connect(self, user="root"):
        """Connect until the end of the test. polkitd 122 limits each script to ten seconds and, once in tens of
        thousands of questions, forgets one and answers no after that time. The timeout here is longer, so that a test
        sees that answer and can distinguish it from a missing one."""
        bus = self.host.connect(user)
        bus.timeout = 30
        self.addCleanup(bus.close)
        return bus
