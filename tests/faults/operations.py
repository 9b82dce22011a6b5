# SPDX-License-Identifier: MIT
"""The operations of the daemon that the sweeps disturb at one system call after the other. Each operation knows how to
start it, what its caller received, and which states must not be found afterwards."""

import collections
import select

from tests.faults import strace
from tests.faults.faults import half_made_lease
from tests.lib import kernel
from tests.lib.bus import BusError, Disconnected
from tests.lib.wire import Variant

# Errors that the bus returns for a call that the daemon did not answer.
UNANSWERED = {"org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.ServiceUnknown",
              "org.freedesktop.DBus.Error.NameHasNoOwner"}

# How a call ended: `answered` with its values, `refused` with an error's name, `cut` by the daemon's end, or
# `unanswered`.
Outcome = collections.namedtuple("Outcome", "kind value")


def outcome(call):
    try:
        return Outcome("answered", call())
    except BusError as error:
        return Outcome("cut" if error.name in UNANSWERED else "refused", error.name)
    except Disconnected:
        return Outcome("cut", "")
    except TimeoutError:
        return Outcome("unanswered", "")


class Operation:
    """Something that the daemon does and a sweep disturbs. The daemon knows the caller from an earlier call."""

    def prepare(self, ring):
        ring.dial()

    def own(self, points):
        """Return the points at which the program itself can handle an error."""
        return points

    def disturbed(self, ring, options):
        """Run the operation under strace and return what its caller received."""
        with strace.looking_on(ring.host.daemon.pid, *options):
            told = self.act(ring)
            ring.let_finish()
        return told

    def wrong(self, told, leases):
        """Return what is wrong with the outcome, given the leases that then exist besides those of other users."""
        return []


class Acquire(Operation):
    """Acquire of one kind of lease."""

    def __init__(self, hold, count, queues, **more):
        self.shape, self.more = (hold, count, queues), more
        self.title = " ".join([f"Acquire {hold}, {count} x {queues}", *more])

    def act(self, ring):
        return ring.acquire(*self.shape, **self.more)

    def wrong(self, told, leases):
        if told.kind == "answered" and [lease["lease"] for lease in leases] != [told.value[0]]:
            return ["a lease that its caller received is lost"]
        if told.kind == "refused" and leases:
            return [f"refused with {told.value}, but a lease is left"]
        return [] if len(leases) <= 1 else ["more leases than were asked for"]


class Release(Operation):
    """Release of a lease of two taps."""

    title = "Release name, 2 x 1"

    def prepare(self, ring):
        super().prepare(ring)
        self.lease = ring.acquire(count=2).value[0]

    def act(self, ring):
        return ring.release(self.lease)

    def wrong(self, told, leases):
        if told.kind == "answered" and leases:
            return ["released, but the lease is still there"]
        return []


class IdleEnd(Operation):
    """The end by idle timeout of a lease of two taps that no process opens."""

    title = "idle end name, 2 x 1"
    def prepare(self, ring):
        super().prepare(ring)
        self.names = [tap["name"] for tap in ring.acquire(count=2, idle_timeout=1).value[1]]

    def act(self, ring):
        gone, daemon = kernel.absent(*self.names), ring.host.daemon
        kernel.seconds_until(lambda: gone() or not daemon.alive())
        return Outcome("answered" if gone() else "cut", None)


ACQUIRES = [Acquire(hold, count, queues) for hold in ("name", "fd") for count in (1, 3) for queues in (1, 2)]
ACQUIRES += [Acquire("name", 2, 1, profile=Variant("s", "runqemu"), attended=Variant("b", True))]


class Start(Operation):
    """A start with existing leases, and with a tap whose siblings were never made, as a crash leaves it."""

    title = "start"

    def own(self, points):
        """Skip the dynamic loader, which reports its own errors. Its last call unmaps its cache (ld.so(8))."""
        return points[[point.call for point in points].index("munmap"):]

    def prepare(self, ring):
        ring.host.stop_daemon()
        half_made_lease("tap40")

    def disturbed(self, ring, options):
        try:
            ring.host.start_daemon(under=strace.around(options))
        except RuntimeError:
            told = Outcome("cut", None)  # the daemon never became ready
        else:
            ring.let_finish()
            told = Outcome("answered", None)
        # strace does not let go of a daemon that runs on, so start another one.
        if ring.host.daemon.alive():
            ring.host.restart_daemon()
        return told


class Leave(Operation):
    """The idle exit: the daemon exits one second after the last call if there is no tap."""

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
        """Read the daemon's messages as a service manager does: it waits for that before it gives up its bus name."""
        notify, daemon = ring.host.notify, ring.host.daemon
        while notify in select.select([notify, daemon.pidfd], [], [], self.LIMIT)[0]:
            notify.recv(4096)
        return daemon.wait()
