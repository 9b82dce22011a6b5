# SPDX-License-Identifier: MIT
"""What the files of the faults ring share that run on a scratch host: the bus ring's daemon and callers, how far this
run goes, and a test's figures."""

import concurrent.futures
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bus"))

from figures import FULL, Figures, rounds  # noqa: E402,F401 (the path above comes first; for those who import this)
from rig.process import until  # noqa: E402
from ring import MANAGER, BusRing, error_name, half_made_lease  # noqa: E402,F401

KEPT_CHILDREN = 3


def close_all(descriptors):
    """The last descriptor of a tap takes the device with it, for which the kernel waits 16 ms; together hardly more."""
    with concurrent.futures.ThreadPoolExecutor(16) as closers:
        list(closers.map(os.close, descriptors))


def descriptors_at_rest(pid):
    """How many descriptors the daemon has while it deletes nothing: the children that delete beside the three that are
    kept have two each, and end when the kernel lets them go."""
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
    """A promise as a number, on a scratch host."""

    def evidence(self):
        """Of a log of thousands of lines its end, and all that is not a matter of course."""
        lines = super().evidence().splitlines()
        odd = [line for line in lines[:-20] if not line.startswith("qemu-tapd: info: ")]
        return "\n".join([*odd[:20], "the last lines:", *lines[-20:]])

    def connect(self, user="root"):
        """A connection until the end of the test. Of tens of thousands of questions polkitd 122 forgets one to its ten
        seconds' limit for a script, and says no: that is waited for, and told from what the daemon does."""
        bus = self.host.connect(user)
        bus.timeout = 30
        self.addCleanup(bus.close)
        return bus
