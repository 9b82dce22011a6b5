#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Plays a QEMU that a hostile guest has taken over. It listens on QEMU's QMP socket, holds QEMU's taps, and evaluates
the orders that the test sends: each order is a Python expression, each answer JSON.

    captured.py QEMU-ARG...                   the program; its sockets are qmp and orders
    captured.py --order SOCKET EXPRESSION     sends an order and prints the answer"""

import json
import os
import re
import socket
import subprocess
import sys

MOST_BYTES, MOST_FILES = 8 << 20, 500


def listen(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


def connect(path):
    """Return None, or the error's name."""
    try:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(path)
        return None
    except OSError as error:
        return type(error).__name__


def read(path):
    try:
        with open(path, "rb") as file:
            return len(file.read())
    except OSError as error:
        return type(error).__name__


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return [done.returncode, done.stderr]


def fill(folder):
    """Return how many bytes of one file, and how many files, can be written there, up to a limit of this test."""
    written = files = 0
    try:
        with open(f"{folder}/big", "wb", buffering=0) as file:
            while written < MOST_BYTES:
                written += file.write(bytes(65536))
    except OSError:
        pass
    try:
        os.unlink(f"{folder}/big")
        while files < MOST_FILES:
            with open(f"{folder}/{files}", "wb"):
                files += 1
    except OSError:
        pass
    for number in range(files):
        os.unlink(f"{folder}/{number}")
    return [written, files]


def writable(top):
    """Return the folders at and below `top` in which files can be made."""
    return sorted(folder for folder, _, _ in os.walk(top) if os.access(folder, os.W_OK | os.X_OK))


def make_file(path):
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.unlink(path)
        return None
    except OSError as error:
        return type(error).__name__


def say(text):
    print(text, flush=True)


def send_order(path, expression):
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(path)
        caller.sendall(expression.encode())
        caller.shutdown(socket.SHUT_WR)
        with caller.makefile() as answer:
            print(answer.read())


def main():
    if sys.argv[1] == "--order":
        send_order(*sys.argv[2:4])
        return
    qmp = re.search(r"unix:(\S+?),", " ".join(sys.argv)).group(1)
    folder = os.path.dirname(qmp)
    monitor, orders = listen(qmp), listen(f"{folder}/orders")  # noqa: F841 (callers can connect to it while it is open)
    while True:
        caller, _ = orders.accept()
        with caller, caller.makefile("rw") as stream:
            stream.write(json.dumps(eval(stream.read())))  # pylint: disable=eval-used


if __name__ == "__main__":
    main()
