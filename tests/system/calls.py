#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""calls.py [--together]: runs inside a container as any user and calls the service. It reads a JSON list of calls, each
[member, signature, arguments], from standard input, and writes a list of their outcomes. busctl would not do, because
it shows an error's text but not its name.

Each outcome has `error`, the error's name or null, and `text` or `values`. A member with a dot is of another interface.
With --together, all calls are sent before the first answer is awaited.
"""

import json
import sys

from tests.lib.bus import BusError, Connection
from tests.lib.wire import Variant

SERVICE = ("org.qemutap1", "/org/qemutap1")
# Seconds: longer than the service waits for polkit.
LIMIT = 60


def with_variants(signature, arguments):
    """Convert arguments from JSON, which has no variants: those in an a{sv} are written as [type, value]."""
    if "a{sv}" not in signature:
        return arguments
    return [{key: Variant(*pair) for key, pair in value.items()} if isinstance(value, dict) else value
            for value in arguments]


def outcome(bus, serial):
    try:
        return {"error": None, "values": bus.reply(serial, LIMIT)}
    except BusError as error:
        return {"error": error.name, "text": error.text}


def main():
    with Connection(None) as bus:
        def send(call):
            member, signature, arguments = call
            name = member if "." in member else f"{SERVICE[0]}.Manager.{member}"
            return bus.send(*SERVICE, name, signature, *with_variants(signature, arguments))

        calls = json.load(sys.stdin)
        if "--together" in sys.argv[1:]:
            outcomes = [outcome(bus, serial) for serial in [send(call) for call in calls]]
        else:
            outcomes = [outcome(bus, send(call)) for call in calls]
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
