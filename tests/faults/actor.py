# SPDX-License-Identifier: MIT
"""A process of another user that does what a test tells it, function by function, and keeps the descriptors it has:
what a holder of a tap may do is asked of the kernel by nobody with more rights, and its end is a real one."""

import os
import pickle
import signal
import socket
import sys
import traceback

from rig import users

MOST_BYTES, MOST_DESCRIPTORS = 131072, 64


class Failed(Exception):
    """The function raised in the other process; the text is its traceback."""


class Actor:
    """Functions are called with the list of the process's own descriptors first, which outlives each of them."""

    lines = []  # of all that live: a process that kept another's open would keep that one from seeing its end

    def __init__(self, user):
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                for line in (*self.lines, self.line):
                    line.close()
                _become(user)
                _obey(theirs)
            finally:
                os._exit(0)
        theirs.close()
        self.lines.append(self.line)

    def start(self, function, *arguments, descriptors=()):
        """Has it begin; descriptors of ours that are handed over join its own before the function runs."""
        socket.send_fds(self.line, [pickle.dumps((function, arguments))], descriptors)

    def result(self):
        answer, received, _, _ = socket.recv_fds(self.line, MOST_BYTES, MOST_DESCRIPTORS)
        if not answer:
            raise Failed("the process ended")
        succeeded, value = pickle.loads(answer)
        if not succeeded:
            raise Failed(value)
        return received if received else value

    def ask(self, function, *arguments, descriptors=()):
        """What the function returned in the other process; of `give` the descriptors, which are then ours too."""
        self.start(function, *arguments, descriptors=descriptors)
        return self.result()

    def stop(self):
        """For a function that runs until it is told otherwise."""
        self.line.send(b"stop")

    def end(self, kill=True):
        """Its end, with all its descriptors: killed, or on its own."""
        if self.pid:
            if kill:
                os.kill(self.pid, signal.SIGKILL)
            self.lines.remove(self.line)
            self.line.close()
            os.waitpid(self.pid, 0)
            self.pid = None


class Given:
    """A function's result that is descriptors."""

    def __init__(self, descriptors):
        self.descriptors = descriptors


def give(own, position):
    """One of the descriptors, to whoever asked; it stays open here."""
    return Given([own[position % len(own)]])


def adopt(_):
    """For descriptors that only come along."""


def _become(user):
    """Somebody who logged in: of a session of its own, as the scheduler shares the processors among sessions."""
    os.setsid()
    if user != "root":
        uid = users.USERS[user]
        os.setgroups(os.getgrouplist(user, uid))
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _obey(line):
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    own = []
    _obey.line = line
    while True:
        order, received, _, _ = socket.recv_fds(line, MOST_BYTES, MOST_DESCRIPTORS)
        if not order:
            return
        if order == b"stop":
            continue  # it had stopped by itself
        own += received
        try:
            function, arguments = pickle.loads(order)
            value = function(own, *arguments)
            given = value.descriptors if isinstance(value, Given) else []
            socket.send_fds(line, [pickle.dumps((True, None if given else value))], given)
        except Exception:
            line.send(pickle.dumps((False, traceback.format_exc())))


def told_to_stop():
    """Asked now and then, in the other process, by a function that runs until it is told otherwise."""
    try:
        return not _obey.line.recv(16, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
