# SPDX-License-Identifier: MIT
"""A connection to the scratch host's system bus, as any of its users. busctl prints an error's text but not its
name, keeps no descriptors and cannot wait for a signal; the tests need all three, and two calls at once."""

import contextlib
import itertools
import os
import select
import socket
import struct
import time

from tests.lib import users
from tests.lib.process import HANGS
from tests.lib.wire import Decoder, Encoder, Variant

SOCKET = "/run/dbus/system_bus_socket"
BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
# The signature of Acquire's answer, which no other method has.
ACQUIRED = "saa{sv}ah"
CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, MEMBER_OF, MEMBER, ERROR_NAME, REPLY_TO, DESTINATION, SENDER, SIGNATURE, DESCRIPTORS = range(1, 10)


class BusError(Exception):
    """An error message that came back."""

    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


class Disconnected(Exception):
    """The bus closed the connection."""


class Message:
    """One received message; its descriptors belong to whoever reads it."""

    def __init__(self, kind, serial, fields, body):
        self.kind = kind
        self.serial = serial
        self.sender = fields.get(SENDER)
        self.destination = fields.get(DESTINATION)
        self.member = f"{fields.get(MEMBER_OF, '')}.{fields.get(MEMBER, '')}"
        self.reply_to = fields.get(REPLY_TO)
        self.error_name = fields.get(ERROR_NAME)
        self.body = body
        self.signature = fields.get(SIGNATURE, "")


def handed_over(hand_over):
    """What org.qemutap1(5) has a caller do with the socket in an answer: one message, with all descriptors. They are
    there or will never be."""
    with socket.socket(fileno=hand_over) as end:
        _, descriptors, flags, _ = socket.recv_fds(end, 1, 253, socket.MSG_DONTWAIT)
        if flags & socket.MSG_CTRUNC:
            raise AssertionError("not all descriptors fit into this process")
        return list(descriptors)


@contextlib.contextmanager
def acting_as(user):
    """The bus asks the kernel who connected, and the kernel remembers the effective uid and the groups of that
    moment. The real uid stays root's on purpose: a daemon that looks at the process instead of asking the bus
    takes such a caller for root, and the tests notice. None: whoever this process is."""
    if user is None:
        yield os.geteuid()
        return
    uid = users.USERS.get(user, 0)
    own = os.getgroups()
    if uid:
        os.setgroups(os.getgrouplist(user, uid))
        os.setegid(uid)
        os.seteuid(uid)
    try:
        yield uid
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(own)


class Connection:
    """Calls are sent at once and their replies fetched when wanted, so a test may have several open."""

    def __init__(self, user="root", timeout=HANGS, over=None):
        """`over`: a socket that is connected already, and the uid of whoever connected it."""
        self.serials = itertools.count(1)
        self.received = bytearray()
        self.descriptors = []
        self.waiting = []
        self.timeout = timeout
        if over:
            self.socket, uid = over
        else:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with acting_as(user) as uid:
                self.socket.connect(SOCKET)
        self._authenticate(uid)
        (self.name,) = self.call(*BUS[:2], f"{BUS[2]}.Hello")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []

    def _authenticate(self, uid):
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(uid).encode().hex().encode() + b"\r\nNEGOTIATE_UNIX_FD\r\n")
        answer = b""
        while answer.count(b"\r\n") < 2:
            piece = self.socket.recv(4096)
            if not piece:
                raise Disconnected("refused before authentication was done")
            answer += piece
        if not answer.startswith(b"OK ") or b"AGREE_UNIX_FD" not in answer:
            raise Disconnected(f"authentication answered {answer!r}")
        self.socket.sendall(b"BEGIN\r\n")

    def send(self, destination, path, member, signature="", *arguments, flags=0, kind=CALL):
        """Sends a call, or a signal; `member` is written interface.Member. Returns the number to fetch the reply by."""
        serial = next(self.serials)
        body = Encoder().values(signature, arguments).body
        name, _, method = member.rpartition(".")
        fields = [(PATH, Variant("o", path)), (MEMBER_OF, Variant("s", name)), (MEMBER, Variant("s", method)),
                  (DESTINATION, Variant("s", destination))]
        if signature:
            fields.append((SIGNATURE, Variant("g", signature)))
        head = Encoder().values("yyyyuua(yv)", (ord("l"), kind, flags, 1, len(body), serial, fields))
        head.align(8)
        try:
            self.socket.sendall(head.body + body)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Disconnected("while sending") from error
        return serial

    def reply(self, serial, timeout=None):
        """The answer's values, or BusError; of Acquire the descriptors, taken from their socket. Other messages that
        arrive meanwhile are kept."""
        message = self.next(lambda message: message.reply_to == serial, timeout)
        if message.kind == ERROR:
            raise BusError(message.error_name, message.body[0] if message.body else "")
        if message.signature == ACQUIRED:
            lease, taps, sockets = message.body
            return [lease, taps, [descriptor for end in sockets for descriptor in handed_over(end)]]
        return message.body

    def call(self, destination, path, member, signature="", *arguments):
        return self.reply(self.send(destination, path, member, signature, *arguments))

    def next(self, wanted=lambda message: True, timeout=None):
        """The first message that is wanted, from those kept and those still to come."""
        for position, message in enumerate(self.waiting):
            if wanted(message):
                return self.waiting.pop(position)
        limit = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        while True:
            message = self._complete_message()
            if message is None:
                self._receive(deadline, limit)
            elif wanted(message):
                return message
            else:
                self.waiting.append(message)

    def _receive(self, deadline, limit):
        ready, _, _ = select.select([self.socket], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError(f"nothing on the bus within {limit} s")
        try:
            piece, descriptors, _, _ = socket.recv_fds(self.socket, 65536, 64)
        except ConnectionResetError:
            piece, descriptors = b"", []
        if not piece:
            raise Disconnected("by the bus")
        self.received += piece
        self.descriptors += descriptors

    def _complete_message(self):
        if len(self.received) < 16:
            return None
        order = "<" if self.received[0] == ord("l") else ">"
        length, serial, fields_length = struct.unpack_from(order + "III", self.received, 4)
        start = (16 + fields_length + 7) // 8 * 8
        if len(self.received) < start + length:
            return None
        head = Decoder(self.received[:start], order=order)
        fields = dict(head.values("yyyyuua(yv)")[6])
        count = fields.get(DESCRIPTORS, 0)
        mine, self.descriptors = self.descriptors[:count], self.descriptors[count:]
        body = Decoder(self.received[start:start + length], mine, order).values(fields.get(SIGNATURE, ""))
        kind = self.received[1]
        del self.received[:start + length]
        return Message(kind, serial, fields, body)

    def owner_of(self, name):
        try:
            return self.call(*BUS[:2], f"{BUS[2]}.GetNameOwner", "s", name)[0]
        except BusError:
            return None

    def wait_for_owner(self, name, present=True):
        """Returns when somebody (or, on request, nobody) owns a name: told by the bus, not asked again and again."""
        rule = f"type='signal',sender='{BUS[0]}',member='NameOwnerChanged',arg0='{name}'"
        self.call(*BUS[:2], f"{BUS[2]}.AddMatch", "s", rule)
        while bool(self.owner_of(name)) != present:
            self.next(lambda message: message.member == f"{BUS[2]}.NameOwnerChanged")
        self.call(*BUS[:2], f"{BUS[2]}.RemoveMatch", "s", rule)

    def watch(self, *rules):
        """Turns this connection into an eavesdropper: from now on `next` gives what others say."""
        self.call(*BUS[:2], "org.freedesktop.DBus.Monitoring.BecomeMonitor", "asu", list(rules), 0)
