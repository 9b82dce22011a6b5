# SPDX-License-Identifier: MIT
"""Runs a program at a terminal as a user would. A shell with job control leads the session and runs the program in the
foreground: ^C reaches the program and its children alone. The shell does not restore terminal settings that the program
should restore."""

import errno
import fcntl
import os
import pty
import re
import select
import signal
import termios
import time

from tests.lib import users
from tests.lib.process import HANGS, until

# The shell keeps the terminal open until the test has seen all it needs. Its first argument is the file for the
# program's output, which must not reach the terminal. Without the trap ^C would end the shell with the program.
SHELL = 'trap : INT; out=$1; shift; "$@" >"$out"; printf "\\nended %d\\n" $?; read -r _'
BACKGROUND = 'out=$1; shift; "$@" >"$out" & wait $!; printf "\\nended %d\\n" $?; read -r _'


def processes(*names):
    """The scratch host's processes with these names (at most 15 letters, as in the kernel)."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                if file.read().rstrip("\n") in names:
                    found.append(int(pid))
        except OSError:
            pass  # the process has ended
    return found


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


class Terminal:
    """Use it in a `with` statement, or call close()."""

    def __init__(self, host, user, *argv, script=SHELL, out=None, **options):
        self.out = out or f"{users.HOMES}/{user}/results"
        self.said = ""
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(self.master)
        self.device = os.fstat(slave).st_rdev
        try:
            self.shell = host.start(user, "/bin/sh", "-mc", script, "sh", self.out, *argv, stdin=slave, stdout=slave,
                                    stderr=slave, start_new_session=True,
                                    preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **options)
        finally:
            os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for child in children(self.shell.pid):
            os.kill(child, signal.SIGKILL)
        self.shell.kill()
        self.shell.wait()
        os.close(self.master)

    def program(self):
        """The pid of the program, once the shell has started it."""
        until(lambda: children(self.shell.pid), "the shell starts the program")
        return children(self.shell.pid)[0]

    def wait_for(self, pattern, limit=HANGS):
        """The first match of the pattern in the terminal's output so far."""
        deadline = time.monotonic() + limit
        while True:
            found = re.search(pattern, self.said)
            if found:
                return found
            if not select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"no {pattern!r} within {limit} s in {self.said!r}")
            try:
                self.said += os.read(self.master, 4096).decode(errors="replace")
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                raise AssertionError(f"the terminal closed without {pattern!r}: {self.said!r}") from error

    def type(self, text):
        os.write(self.master, text.encode())

    def echoes(self):
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def wait_for_prompt(self):
        """Returns when the terminal asks for a password and does not echo it."""
        self.wait_for("Password: ")
        until(lambda: not self.echoes(), "the terminal's echo is off")

    def ended(self, limit=HANGS):
        """The program's exit status as its shell reports it: 128 plus the number of a signal that ended it."""
        return int(self.wait_for(r"ended (\d+)\r?\n", limit).group(1))

    def as_before(self):
        return termios.tcgetattr(self.master) == self.before

    def results(self):
        with open(self.out, encoding="utf-8") as file:
            return file.read()

