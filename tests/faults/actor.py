# SPDX-License-Identifier: MIT
"""A process of another user that runs functions for a test and keeps its descriptors. So the kernel is asked with that
user's rights and no others about what the holder of a tap may do, and the holder's end is the end of a real process."""

import os
import pickle
import signal
import socket
import sys
import traceback

from tests.lib import users

MOST_BYTES, MOST_DESCRIPTORS = 131072, 64


class Failed(Exception):
    """The function raised an exception in the other process; the text is its traceback."""


class Actor:
    """Each function's first argument is the list of the process's descriptors, which the next function sees too."""

    lines = []  # of all living actors: a copy that another actor kept open would hide the end of this one's line

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
        """Start the function. Descriptors given here are added to the other process's list before it runs."""
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
        """Return what the function returned in the other process. `give` returns copies of its descriptors."""
        self.start(function, *arguments, descriptors=descriptors)
        return self.result()

    def stop(self):
        """Stop a function that runs until it is asked to stop."""
        self.line.send(b"stop")

    def end(self, kill=True):
        """End the process and close all its descriptors: by SIGKILL, or by letting it exit."""
        if self.pid:
            if kill:
                os.kill(self.pid, signal.SIGKILL)
            self.lines.remove(self.line)
            self.line.close()
            os.waitpid(self.pid, 0)
            self.pid = None


class Given:
    """Descriptors as the result of a function."""

    def __init__(self, descriptors):
        self.descriptors = descriptors


def give(own, position):
    """Pass one of the descriptors to the test. The process keeps it open."""
    return Given([own[position % len(own)]])


def adopt(_):
    """Do nothing: the descriptors that came with the request are what matters."""


def _become(user):
    """Become the user in a session of its own, as after a login: the scheduler shares processors among sessions."""
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
            continue  # the function had ended before the request
        own += received
        try:
            function, arguments = pickle.loads(order)
            value = function(own, *arguments)
            given = value.descriptors if isinstance(value, Given) else []
            socket.send_fds(line, [pickle.dumps((True, None if given else value))], given)
        except Exception:
            line.send(pickle.dumps((False, traceback.format_exc())))


def told_to_stop():
    """True if the test has asked the running function, in the other process, to stop."""
    try:
        return not _obey.line.recv(16, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
