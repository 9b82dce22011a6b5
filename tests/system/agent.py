#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""agent.py: runs inside a container as one user in one login, and starts the commands that a test sends. One login for
all commands saves a tenth of a second per command, and an entry in logind's list each time.

It reads orders as lines of JSON from standard input and writes the answers to standard output in the same form, in the
order in which the commands end.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

_writing = threading.Lock()
_started = {}


def answer(order, **words):
    with _writing:
        print(json.dumps({"id": order["id"], **words}), flush=True)


def text(octets):
    return (octets or b"").decode(errors="surrogateescape")


def begin(order, **options):
    environment = {**os.environ, **order.get("environment", {})}
    return subprocess.Popen(order["argv"], env=environment, cwd=order.get("folder") or os.environ["HOME"], **options)


def run(order):
    """Run a command to its end. The time is from before its start to its end, which is what its user waits."""
    given = order.get("input")
    start = time.monotonic()
    with begin(order, stdin=subprocess.DEVNULL if given is None else subprocess.PIPE, stdout=subprocess.PIPE,
               stderr=subprocess.PIPE) as popen:
        try:
            out, err = popen.communicate(None if given is None else given.encode(errors="surrogateescape"),
                                         timeout=order["timeout"])
        except subprocess.TimeoutExpired:
            popen.kill()
            out, err = popen.communicate()
            answer(order, late=text(out) + text(err))
            return
    answer(order, status=popen.returncode, out=text(out), err=text(err), seconds=time.monotonic() - start)


def start(order):
    """Start a command and let it run; its output is written to a file."""
    with open(order["log"], "wb") as log:
        popen = begin(order, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    _started[popen.pid] = popen
    answer(order, pid=popen.pid)


def wait(order):
    try:
        answer(order, status=_started[order["pid"]].wait(order["timeout"]))
    except subprocess.TimeoutExpired:
        answer(order, late="")


def kill(order):
    _started[order["pid"]].send_signal(order["signal"])
    answer(order)


def carry_out(order):
    try:
        {"run": run, "start": start, "wait": wait, "kill": kill}[order["do"]](order)
    except OSError as error:
        answer(order, problem=f"{error.strerror}: {error.filename}", errno=error.errno)


def main():
    print(json.dumps({"login": os.environ.get("XDG_SESSION_ID", ""), "pid": os.getpid(), "uid": os.getuid()}),
          flush=True)
    for line in sys.stdin:
        threading.Thread(target=carry_out, args=[json.loads(line)], daemon=True).start()
    for popen in _started.values():
        popen.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    main()
