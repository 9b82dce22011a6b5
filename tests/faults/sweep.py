# SPDX-License-Identifier: MIT
"""What the crash sweep and the error sweep share. Other users hold leases all the time. Each operation is disturbed at
one system call after the other. After each fault the sweep reads from the kernel whether every device, address, route
and group belongs to a lease, and whether every lease is as promised; it asks the daemon only for its list of leases."""

import collections
import random

from tests.faults import strace
from tests.faults.faults import FULL, MANAGER, FaultsRing, close_all
from tests.faults.operations import outcome
from tests.lib import kernel
from tests.lib.bus import BusError, Disconnected
from tests.lib.wire import Variant

USER = "alice"
# Per-device settings that a tap has before it is up, and where the kernel shows them.
SETTINGS = {"ipv4/conf/{}/rp_filter": 1, "ipv4/conf/{}/arp_ignore": 1, "ipv4/conf/{}/accept_redirects": 0,
            "ipv4/conf/{}/send_redirects": 0, "ipv4/conf/{}/ignore_routes_with_linkdown": 1,
            "ipv4/conf/{}/route_localnet": 0, "ipv4/conf/{}/proxy_arp": 0, "ipv4/conf/{}/accept_local": 0,
            "ipv4/conf/{}/accept_source_route": 0, "ipv6/conf/{}/disable_ipv6": 1, "ipv6/conf/{}/accept_ra": 0,
            "ipv6/conf/{}/addr_gen_mode": 1}
# The same for a tap by runqemu's rule, on which the gateway is the only address (/32).
RUNQEMUS_SETTINGS = {**SETTINGS, "ipv4/conf/{}/proxy_arp": 1}
# Seconds until the daemon has removed what is incomplete, even at its second try; a lease's idle timeout is one second.
SETTLED = 4
# Seconds. A healthy daemon answers within milliseconds.
UNANSWERED = 5


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def setting(path):
    return int(read(f"/proc/sys/net/{path}"))


def facts_of(name):
    device = f"/sys/class/net/{name}"
    flags = int(read(f"{device}/flags"), 16)
    return {"up": flags & 1, "multicast": flags & 0x1000, "owner": int(read(f"{device}/owner")),
            "link group": int(read(f"{device}/netdev_group")), "MAC": read(f"{device}/address"),
            "addresses": kernel.addresses_of(name), "persistent": bool(int(read(f"{device}/tun_flags"), 16) & 0x0800),
            **{path: setting(path.format(name)) for path in SETTINGS}}


def shortcomings(grant):
    """Return one line for each difference between a lease's taps in the kernel and what `List` says of the lease."""
    found = []
    for tap in grant["taps"]:
        settings = RUNQEMUS_SETTINGS if tap["prefix-length"] == 32 else SETTINGS
        promised = {"up": 1, "multicast": 0, "owner": grant["uid"], "link group": kernel.GROUP, "MAC": "fe" + tap["mac"][2:],
                    "addresses": [f"{tap['gateway']}/{tap['prefix-length']}"],
                    "persistent": grant["hold"] == "name", **settings}
        try:
            facts = facts_of(tap["name"])
        except OSError as error:
            found.append(f"{tap['name']}: {error}")
            continue
        found += [f"{tap['name']}: {key} is {facts[key]}, not {value}" for key, value in promised.items()
                  if facts[key] != value]
    return found


def unaccounted(leases):
    """Return the devices, addresses, routes and groups that belong to no lease, and the leases that lack a tap."""
    taps, links = {tap["name"] for lease in leases for tap in lease["taps"]}, kernel.links()
    found = [f"link {name}, alias {link.get('ifalias')!r}, group {link.get('group')}"
             for name, link in links.items() if name != "lo" and name not in taps]
    found += [f"address {address} on {name}" for name, address in kernel.addresses()
              if name != "lo" and name not in taps]
    found += [f"route {route}" for route in kernel.routes()
              if not any(f'"dev": "{name}"' in route for name in ("lo", *taps))]
    for lease in leases:
        words = [kernel.alias_in(links.get(tap["name"], {})) for tap in lease["taps"]]
        if [word.get("tap") for word in words] != [f"{place}/{len(words)}" for place in range(len(words))]:
            found.append(f"lease {lease['lease']} is not whole: {words}")
    return found


class Sweep(FaultsRing):
    # Leases that other users hold all the time, one of each kind. None may ever be lost.
    held = ({"hold": Variant("s", "name")}, {"hold": Variant("s", "fd"), "queues": Variant("u", 2)})
    children = False  # whether the sweep also disturbs the daemon's children, which delete links

    def setUp(self):
        super().setUp()
        self.caller = None
        self.descriptors = []  # of one lease, until its point is done
        self.counts = collections.Counter()
        self.problems = []
        self.holder = self.host.connect("bob")
        self.addCleanup(self.holder.close)
        for options in self.held:
            self.call(self.holder, "Acquire", "ua{sv}", 2, options)
        self.bystanders = self.everyone()
        self.before = kernel.snapshot()

    def clear(self):
        self.hang_up()
        super().clear()

    # What the operations call

    def hang_up(self):
        if self.caller:
            self.caller.close()
            self.caller = None
        close_all(self.descriptors)
        self.descriptors = []

    def dial(self):
        """Connect a caller and make one call, so that the daemon is in the same state at each point."""
        self.hang_up()
        self.caller = self.host.connect(USER)
        self.caller.timeout = UNANSWERED
        self.call(self.caller, "List", "a{sv}", {})

    def everyone(self):
        """Return all leases that the daemon lists."""
        with self.host.connect() as root:
            return self.call(root, "List", "a{sv}", {"all": Variant("b", True)})[0]

    def let_finish(self):
        """Wait until the daemon has done its work or is gone; return whether it still runs."""
        try:
            with self.host.connect(timeout=2 * UNANSWERED) as bus:
                bus.call(*MANAGER[:2], "org.freedesktop.DBus.Peer.Ping")
        except (BusError, Disconnected):
            return False
        except TimeoutError:
            pass
        return True

    def acquire(self, hold="name", count=1, queues=1, idle_timeout=None, **more):
        options = {"hold": Variant("s", hold), "queues": Variant("u", queues), **more}
        if idle_timeout:
            options["idle-timeout"] = Variant("t", idle_timeout)
        told = outcome(lambda: self.call(self.caller, "Acquire", "ua{sv}", count, options))
        if told.kind == "answered":
            self.descriptors += told.value[2]
        return told

    def release(self, lease):
        return outcome(lambda: self.call(self.caller, "Release", "s", lease))

    # The sweep, point by point

    def faults_at(self, operation, points):
        """Return the faults at these points, each as strace options and a description. Subclasses define this."""
        raise NotImplementedError

    def note(self, told, where):
        """Record what a fault did to the daemon, and start it again if it is gone. Subclasses define this."""
        raise NotImplementedError

    def sweep(self, *operations, sample):
        """Disturb the operations at every fault, or in a short run at a random sample of so many per operation."""
        for operation in operations:
            operation.prepare(self)
            operation.disturbed(self, strace.recording(self.children))
            self.host.restart_daemon()
            self.back_to_start("record")
            points = strace.read_record()
            self.assertGreater(len(points), 10, "nothing was recorded")
            faults = self.faults_at(operation, points)
            self.counts["of"] += len(faults)
            for options, words in faults if FULL else random.sample(faults, min(sample, len(faults))):
                self.disturb(operation, options, f"{operation.title}, {words}")
        of = {} if FULL else {"of": self.counts["of"]}
        self.show(points=self.counts["points"], **of, **{key: self.counts[key] for key in self.shown})
        self.assertEqual(self.problems, [])

    def disturb(self, operation, options, where):
        operation.prepare(self)
        told = operation.disturbed(self, options)
        self.counts["points"] += 1
        self.counts[told.kind] += 1
        self.problems += [f"{where}: the caller was not answered"] if told.kind == "unanswered" else []
        self.note(told, where)
        self.found(where, "wrong", operation.wrong(told, self.leases_beside_bystanders(where)))
        self.back_to_start(where)

    def found(self, where, kind, lines):
        self.counts[kind] += len(lines)
        self.problems += [f"{where}: {kind}: {line}" for line in lines]

    def leases_beside_bystanders(self, where):
        """Require that all devices belong to whole leases and that the bystanders keep theirs; return the others."""
        leases, left, broken = [], [], []

        def settled():
            nonlocal leases, left, broken
            leases = self.everyone()
            left = unaccounted(leases)
            broken = [line for lease in leases for line in shortcomings(lease)]
            return not left and not broken
        kernel.seconds_until(settled, SETTLED)
        self.found(where, "leaked", left)
        self.found(where, "broken", broken)
        self.found(where, "lost", [str(lease) for lease in self.bystanders if lease not in leases])
        return [lease for lease in leases if lease not in self.bystanders]

    def back_to_start(self, where):
        self.hang_up()
        with self.host.connect() as root:
            for lease in self.everyone():
                if lease not in self.bystanders:
                    outcome(lambda lease=lease: self.call(root, "Release", "s", lease["lease"]))
        self.found(where, "leaked", kernel.differences(self.before, kernel.snapshot()))
