#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""racer.py ROUNDS IDLE: runs inside a container and calls the service at random moments around its idle exit, which
comes IDLE seconds after the last call. For each call it prints, as a line of JSON, which process answered and what.

It first measures when the service exits, and then follows that moment, so that calls fall on both sides of it.
"""

import json
import random
import sys
import time

from tests.lib.bus import BusError, Connection

SERVICE = ("org.qemutap1", "/org/qemutap1", "org.qemutap1.Manager.List", "a{sv}", {})
OWNER_CHANGED = "org.freedesktop.DBus.NameOwnerChanged"
RULE = f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{SERVICE[0]}'"
SPREAD = 0.050
FREE_ROUNDS = 3
LIMIT = 60


def list_leases():
    """Call once on a new connection, as a client does; return (unique name of the answering process, answer, time)."""
    with Connection(None) as bus:
        serial = bus.send(*SERVICE)
        message = bus.next(lambda message: message.reply_to == serial, LIMIT)
        if message.error_name:
            raise BusError(message.error_name, str(message.body))
        return message.sender, message.body, time.monotonic()


def is_gone(message):
    return message.member == OWNER_CHANGED and message.body[2] == ""


class Racer:
    def __init__(self, ear, idle):
        self.ear = ear
        self.delay = idle
        ear.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.AddMatch", "s", RULE)

    def watch_it_leave(self):
        """Return the seconds from an answer until the service gives up its name."""
        self.forget()
        _, _, answered = list_leases()
        self.ear.next(is_gone, LIMIT)
        return time.monotonic() - answered

    def forget(self):
        """Discard the signals of earlier rounds."""
        self.ear.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.GetId")
        self.ear.waiting.clear()

    def calibrate(self):
        self.delay = sorted(self.watch_it_leave() for _ in range(FREE_ROUNDS))[FREE_ROUNDS // 2]

    def race(self):
        """Make one call around the moment of the exit."""
        self.forget()
        first, _, answered = list_leases()
        moment = answered + self.delay + random.uniform(-SPREAD, SPREAD)
        time.sleep(max(0, moment - time.monotonic()))
        called = time.monotonic()
        second, body, _ = list_leases()
        # If the same process answered, it exits later than expected, else earlier. Adjust the next aim.
        self.delay += 0.002 if first == second else -0.002
        return {"late": called - moment, "same": first == second, "answer": body, "waited": time.monotonic() - called}


def main():
    rounds, idle = int(sys.argv[1]), float(sys.argv[2])
    with Connection(None) as ear:
        racer = Racer(ear, idle)
        racer.calibrate()
        for _ in range(rounds):
            print(json.dumps({**racer.race(), "delay": racer.delay}), flush=True)


if __name__ == "__main__":
    main()
