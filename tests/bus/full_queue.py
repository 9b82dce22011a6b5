# SPDX-License-Identifier: MIT
"""A caller whose queue on the bus is full, and that calls the service without a pause until its standard input ends.
The bus refuses each answer and sends the service an error whose text quotes this caller's command line."""

import select
import sys

from tests.lib.bus import BUS, SIGNAL, Connection

NO_REPLY = 1
# Four of these exceed what the bus keeps for one connection (max_outgoing_bytes, 127 MiB).
LARGE = "x" * (32 * 1024 * 1024 - 4096)


def fill(receiver, senders):
    """Needs two senders: the bus stops reading from a sender with that much undelivered (max_incoming_bytes)."""
    for sender in senders:
        for _ in range(2):
            sender.send(receiver.name, "/x", "x.x.X", "s", LARGE, flags=NO_REPLY, kind=SIGNAL)
        sender.call(*BUS[:2], f"{BUS[2]}.GetId")


def main():
    receiver = Connection(None, timeout=30)
    fill(receiver, [Connection(None, timeout=30) for _ in range(2)])
    print("full", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        for _ in range(100):
            receiver.send("org.qemutap1", "/org/qemutap1", "org.qemutap1.Manager.List", "a{sv}", {})
        # The bus allows 128 open calls per connection (max_replies_per_connection).
        select.select([sys.stdin], [], [], 0.001)


if __name__ == "__main__":
    main()
