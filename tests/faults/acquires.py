# SPDX-License-Identifier: MIT
"""Acquire calls of all kinds, many of them in flight at once, and the outcome of each: a lease that is complete
according to the kernel, an error with one of the project's names, or no answer, which must never happen."""

import fcntl
import os
import pathlib
from collections import Counter

from tests.faults.faults import MANAGER
from tests.lib import kernel, users
from tests.lib.bus import BusError, Disconnected, Variant
from tests.lib.process import HANGS

TUNGETIFF = 0x800454D2  # linux/if_tun.h
NAMED = "org.qemutap1.Error."
# (count, queues, hold): with one descriptor, with all sixteen that one message can carry, and by name.
KINDS = ((1, 1, "fd"), (3, 2, "fd"), (16, 1, "fd"), (4, 4, "fd"), (1, 16, "fd"),
         (1, 1, "name"), (3, 1, "name"), (1, 2, "name"), (16, 1, "name"))
# For tests that acquire many leases at once: the kernel takes 16 ms to delete each tap.
FEW_TAPS = [kind for kind in KINDS if kind[0] < 4]


class Asked:
    """One Acquire call that was sent. fetch() waits for its answer."""

    def __init__(self, bus, user, kind, **options):
        self.bus, self.user, self.kind = bus, user, kind
        count, queues, hold = kind
        words = {"hold": Variant("s", hold), "queues": Variant("u", queues), **options}
        self.serial = bus.send(*MANAGER[:2], f"{MANAGER[2]}.Acquire", "ua{sv}", count, words)
        self.outcome = self.lease = self.error = self.text = None
        self.taps, self.descriptors = [], []

    def fetch(self, timeout=HANGS):
        """Return the outcome: `given`, an error's name, `nothing`, or `cut off` when the bus is gone."""
        if not self.outcome:
            self.outcome = self._fetch(timeout)
        return self.outcome

    def _fetch(self, timeout):
        try:
            self.lease, self.taps, self.descriptors = self.bus.reply(self.serial, timeout)
        except BusError as error:
            self.error, self.text = error.name, error.text
        except TimeoutError:
            return "nothing"
        except Disconnected:
            return "cut off"
        return "given" if self.lease else self.error

    def names(self):
        return [tap["name"] for tap in self.taps]

    def release(self, bus):
        """Release the lease, over a connection of root's, unless it ends with its descriptors."""
        if self.lease and self.kind[2] == "name":
            try:
                bus.call(*MANAGER[:2], f"{MANAGER[2]}.Release", "s", self.lease)
            except BusError as error:
                # The kernel had no room for the deletion yet: the service starts it in a later turn.
                if error.name != "org.qemutap1.Error.HostRefused":
                    raise

    def let_go(self):
        """Close the descriptors, as a caller does that is done. A lease held by descriptors ends with them."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []


def tap_of(descriptor):
    """Return the name of the tap that a descriptor belongs to."""
    answer = fcntl.ioctl(descriptor, TUNGETIFF, bytes(40))
    return answer[:16].split(b"\0")[0].decode()


def has_ipv6(name):
    path = f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6"
    return os.path.exists(path) and pathlib.Path(path).read_text(encoding="ascii") != "1\n"


class Kernel:
    """The host's links and addresses at one moment."""

    def __init__(self):
        self.links = kernel.links()
        self.addresses = {}
        for device, address in kernel.addresses():
            self.addresses.setdefault(device, []).append(address)

    def ours(self):
        return sorted(name for name, link in self.links.items() if link.get("ifalias", "").startswith(kernel.ALIASES))

    def leases(self):
        """Return two sets of lease ids: the leases with all their taps, and the leases with some taps missing."""
        positions = {}
        for name in self.ours():
            words = kernel.alias_in(self.links[name])
            positions.setdefault((words["lease"], int(words["tap"].split("/")[1])), set()).add(words["tap"])
        whole = {lease for (lease, count), found in positions.items() if len(found) == count}
        return whole, {lease for lease, _ in positions} - whole

    def shortcomings(self, asked):
        """Return what is missing from a lease that a caller received, as texts."""
        count, queues, hold = asked.kind
        found = []
        if len(asked.taps) != count:
            found.append(f"{len(asked.taps)} taps for {count}")
        held = [tap_of(descriptor) for descriptor in asked.descriptors]
        if held != [name for name in asked.names() for _ in range(queues)] * (hold == "fd"):
            found.append(f"descriptors of {held}")
        for position, tap in enumerate(asked.taps):
            found += [f"{tap['name']}: {text}" for text in self._shortcomings(asked, position, tap)]
        return found

    def _shortcomings(self, asked, position, tap):
        link = self.links.get(tap["name"])
        if not link:
            return ["does not exist"]
        tun = link["linkinfo"]["info_data"]
        words = kernel.alias_in(link)
        checks = {
            "is not a tap": tun.get("type") == "tap",
            "is not up": "UP" in link["flags"],
            "is not in the group": link["group"] == str(kernel.GROUP),
            "has another owner": str(tun.get("user")) in (asked.user, str(users.USERS.get(asked.user, 0))),
            "has another hold": tun["persist"] == (asked.kind[2] == "name"),
            "has another address": self.addresses.get(tap["name"]) == [f"{tap['gateway']}/{tap['prefix-length']}"],
            "is not tagged": (words.get("lease"), words.get("tap"))
                             == (asked.lease, f"{position}/{asked.kind[0]}"),
        }
        return [text for text, holds in checks.items() if not holds]


class Tally:
    """The outcomes of many Acquire calls."""

    def __init__(self):
        self.outcomes = Counter()
        # What leases are missing; taps that exist although no caller received them; the texts of errors.
        self.lacking, self.untold, self.texts = [], [], []
        self.taps_with_ipv6 = 0

    def count(self, asked):
        """Fetch all answers, then look at the kernel. There must be no leases of other callers."""
        self.outcomes.update(one.fetch() for one in asked)
        now = Kernel()
        given = [one for one in asked if one.lease]
        names = [name for one in given for name in one.names()]
        self.lacking += [f"{one.lease}: {text}" for one in given for text in now.shortcomings(one)]
        self.lacking += [f"{name} is given {times} times" for name, times in Counter(names).items() if times > 1]
        self.untold += sorted(set(now.ours()) - set(names))
        self.texts += [one.text for one in asked if one.error]
        self.taps_with_ipv6 += sum(has_ipv6(name) for name in names)

    @property
    def asked(self):
        return self.outcomes.total()

    @property
    def given(self):
        return self.outcomes["given"]

    @property
    def nothing(self):
        return self.outcomes["nothing"]

    def errors(self):
        return {name: times for name, times in self.outcomes.items() if "." in name}

    def unnamed(self):
        """Return the errors that are not among the daemon's documented names."""
        return {name: times for name, times in self.errors().items() if not name.startswith(NAMED)}

    def refused(self):
        """Return the errors and the count of each, as a figure."""
        errors = sorted((name.rpartition(".")[2], times) for name, times in self.errors().items())
        return " and ".join(f"{times} {name}" for name, times in errors) or "0"
