# SPDX-License-Identifier: MIT
"""What the crash sweep and the error sweep share: the operations they disturb, what a caller was told of each, and a
look at the kernel that says whether every device, address, route and group belongs to a lease, and every lease is as
it was promised. The daemon is asked only for what it believes; what is true the kernel says."""

import collections
import os
import select

import strace
from faults import FaultsRing
from rig import furnish, kernel, users
from rig.bus import BUS, BusError, Disconnected
from rig.wire import Variant
from ring import MANAGER, half_made_lease

USER = "alice"
# Per-device settings that a tap has before it is up, and where the kernel shows them.
SETTINGS = {"ipv4/conf/{}/rp_filter": 1, "ipv4/conf/{}/arp_ignore": 1, "ipv4/conf/{}/accept_redirects": 0,
            "ipv4/conf/{}/send_redirects": 0, "ipv4/conf/{}/ignore_routes_with_linkdown": 1,
            "ipv6/conf/{}/disable_ipv6": 1}
# From the bus, of a call that the daemon did not answer.
UNANSWERED = {"org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.ServiceUnknown",
              "org.freedesktop.DBus.Error.NameHasNoOwner"}

# What a call came to: `answered` with its values, `refused` with an error's name, or `cut`, without an answer.
Outcome = collections.namedtuple("Outcome", "kind value")


def setting(path):
    with open(f"/proc/sys/net/{path}", encoding="ascii") as file:
        return int(file.read())


def attribute(device, name):
    with open(f"/sys/class/net/{device}/{name}", encoding="ascii") as file:
        return file.read().strip()


def shortcomings(grant):
    """In what the kernel's word on a lease's taps differs from what `List` says of it, in readable lines."""
    found = []
    for tap in grant["taps"]:
        name = tap["name"]
        if not os.path.exists(f"/sys/class/net/{name}"):
            found.append(f"{name} does not exist")
            continue
        facts = {"up": int(attribute(name, "flags"), 16) & 1, "owner": int(attribute(name, "owner")),
                 "link group": int(attribute(name, "netdev_group")), "MAC": attribute(name, "address"),
                 "addresses": kernel.addresses_of(name),
                 "persistent": bool(int(attribute(name, "tun_flags"), 16) & 0x0800),
                 **{path: setting(path.format(name)) for path in SETTINGS}}
        promised = {"up": 1, "owner": grant["uid"], "link group": kernel.GROUP, "MAC": "fe" + tap["mac"][2:],
                    "addresses": [f"{tap['gateway']}/{tap['prefix-length']}"],
                    "persistent": grant["hold"] == "name", **SETTINGS}
        found += [f"{name}: {key} is {facts[key]}, not {value}" for key, value in promised.items()
                  if facts[key] != value]
    return found


class SweepRing(FaultsRing):
    """A daemon and a caller for each point; leases of before, when the point is over, are given back."""

    def setUp(self):
        super().setUp()
        self.caller = None

    def clear(self):
        self.hang_up()
        super().clear()

    def hang_up(self):
        if self.caller:
            self.caller.close()
            self.caller = None

    def dial(self):
        """The daemon knows this caller already, so that each point is met in the same state."""
        self.hang_up()
        self.caller = self.host.connect(USER)
        self.call(self.caller, "List", "a{sv}", {})

    # Operations

    def outcome(self, member, signature, *arguments):
        try:
            told = Outcome("answered", self.call(self.caller, member, signature, *arguments))
        except BusError as error:
            told = Outcome("cut" if error.name in UNANSWERED else "refused", error.name)
        except Disconnected:
            told = Outcome("cut", "")
        return told

    def let_finish(self):
        """Returns when the daemon has done all that it had to do, or is gone."""
        try:
            with self.host.connect() as bus:
                bus.call(*MANAGER[:2], "org.freedesktop.DBus.Peer.Ping")
        except (BusError, Disconnected):
            pass

    def acquire(self, hold="name", count=1, queues=1, idle_timeout=None):
        options = {"hold": Variant("s", hold), "queues": Variant("u", queues)}
        if idle_timeout:
            options["idle-timeout"] = Variant("t", idle_timeout)
        return self.outcome("Acquire", "ua{sv}", count, options)

    # What is there

    def everyone(self):
        """All leases, as the daemon has them."""
        with self.host.connect() as root:
            return self.call(root, "List", "a{sv}", {"all": Variant("b", True)})[0]

    def unaccounted(self, leases):
        """Devices, addresses, routes and groups that no lease accounts for."""
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


class Operation:
    """What the daemon is disturbed at, on request of a caller whom it knows already."""

    def prepare(self, ring):
        ring.dial()

    def disturbed(self, ring, options):
        """Done while strace looks on; what its caller was told."""
        with strace.looking_on(ring.host.daemon.pid, *options):
            told = self.act(ring)
            ring.let_finish()
        return told

    def wrong(self, told, leases):
        """What the caller was told, against the leases that there are then beside those of others."""
        return []


class Acquire(Operation):
    """Of one shape of lease."""

    def __init__(self, hold, count, queues):
        self.shape = (hold, count, queues)
        self.title = f"Acquire {hold}, {count} x {queues}"

    def act(self, ring):
        return ring.acquire(*self.shape)

    def wrong(self, told, leases):
        if told.kind == "answered" and [lease["lease"] for lease in leases] != [told.value[0]]:
            return ["a lease that its caller was told of is lost"]
        if told.kind == "refused" and leases:
            return [f"refused with {told.value}, but a lease is left"]
        return [] if len(leases) <= 1 else ["more leases than were asked for"]


class Release(Operation):
    """Of a lease of two taps."""

    title = "Release name, 2 x 1"

    def prepare(self, ring):
        super().prepare(ring)
        self.lease = ring.acquire(count=2).value[0]

    def act(self, ring):
        return ring.outcome("Release", "s", self.lease)

    def wrong(self, told, leases):
        if told.kind == "answered" and leases:
            return ["released, but the lease is still there"]
        return []


class IdleEnd(Operation):
    """Of a lease of two taps that nobody opens."""

    title = "idle end name, 2 x 1"
    # What the kernel takes to delete two devices, on top of the timeout, on a busy machine.
    LIMIT = 3

    def prepare(self, ring):
        super().prepare(ring)
        self.names = [tap["name"] for tap in ring.acquire(count=2, idle_timeout=1).value[1]]

    def act(self, ring):
        gone, daemon = kernel.absent(*self.names), ring.host.daemon
        kernel.seconds_until(lambda: gone() or not daemon.alive(), self.LIMIT)
        return Outcome("answered" if gone() else "cut", None)


ACQUIRES = [Acquire(hold, count, queues) for hold in ("name", "fd") for count in (1, 3) for queues in (1, 2)]


class Start(Operation):
    """With leases there, and a tap whose siblings were never made, as a crash leaves it."""

    title = "start"

    def prepare(self, ring):
        ring.host.stop_daemon()
        half_made_lease("tap40")

    def disturbed(self, ring, options):
        try:
            ring.host.start_daemon(under=strace.around(options))
        except RuntimeError:
            return Outcome("cut", None)  # it ended before it was ready
        ring.let_finish()
        return Outcome("answered", None)


class Leave(Operation):
    """Of the daemon itself, a second after the last call; leases by name need nobody to watch them."""

    title = "idle exit"
    LIMIT = 10

    def prepare(self, ring):
        ring.host.restart_daemon("--idle-exit=1")
        super().prepare(ring)

    def disturbed(self, ring, options):
        with strace.looking_on(ring.host.daemon.pid, *options):
            status = self.end(ring)
        return Outcome("cut" if status < 0 else "answered", status)

    def end(self, ring):
        """A service manager reads what it is told, which the daemon waits for before it gives its name back."""
        notify, daemon = ring.host.notify, ring.host.daemon
        while notify in select.select([notify, daemon.pidfd], [], [], self.LIMIT)[0]:
            notify.recv(4096)
        return daemon.wait(0)
