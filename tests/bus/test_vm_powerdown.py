# SPDX-License-Identifier: MIT
"""qemu-vm-powerdown when the socket's peer is not a normal QEMU: there is none, another program, or a hostile one.
The guest ring has the tests with real guests."""

import os
import socket
import threading
import time

import pytest

from tests.bus.ring import BusRing
from tests.lib import furnish, users

pytestmark = pytest.mark.early

USER = "alice"
PLACE = f"{users.HOMES}/{USER}/qmp"
GREETING = b'{"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 10}}, "capabilities": ["oob"]}}\r\n'
SUCCESS = b'{"return": {}}\r\n'


class Listener:
    """Listens at QEMU's socket and handles one connection with `act`."""

    def __init__(self, act):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(PLACE)
        os.chown(PLACE, users.USERS[USER], users.USERS[USER])
        self.socket.listen()
        self.heard = b""
        self.thread = threading.Thread(target=self._serve, args=(act,))
        self.thread.start()

    def _serve(self, act):
        client, _ = self.socket.accept()
        client.settimeout(20)
        with client:
            try:
                act(self, client)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the peer closed the connection early

    def hear(self, client, end):
        while not self.heard.endswith(end):
            piece = client.recv(4096)
            if not piece:
                return
            self.heard += piece

    def close(self):
        self.thread.join(20)
        self.socket.close()
        os.unlink(PLACE)


class Powerdown(BusRing):
    options = None  # no daemon is needed

    def press(self, path=PLACE, user="root"):
        return self.host.run(user, self.host.share(f"{self.host.build}/client/programs/vm_powerdown/qemu-vm-powerdown"), path)

    def press_with(self, act):
        listener = Listener(act)
        try:
            return self.press(), listener
        finally:
            listener.close()

    def assert_note(self, done, status, *words):
        self.assertEqual((done.status, done.out), (status, ""), done)
        self.assertRegex(done.err, r"\Aqemu-vm-powerdown: [^\n]+\n\Z")
        self.assertTrue(done.err.rstrip("\n").isprintable(), repr(done.err))
        self.assertLess(len(done.err), 500)
        for word in words:
            self.assertIn(word, done.err)

    def test_nobody(self):
        """Without a socket, without a listener on it, or without such a path QEMU is not running: status 0."""
        stale = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stale.bind(PLACE)
        self.addCleanup(os.unlink, PLACE)
        stale.close()
        os.chown(PLACE, users.USERS[USER], users.USERS[USER])
        for path in (PLACE, f"{users.HOMES}/{USER}/none", "/run/no/such/directory/qmp"):
            with self.subTest(path=path):
                self.assert_note(self.press(path), 0, "nobody listens", os.path.basename(path))

    def test_bad_paths(self):
        """A path that is empty or too long for a socket gives status 2; one that may not be opened gives status 1."""
        self.assert_note(self.press(""), 2, "path")
        self.assert_note(self.press("/run/" + "x" * 200), 2, "path")
        listener = Listener(lambda _, client: client.recv(1))
        os.chown(PLACE, 0, 0)
        os.chmod(PLACE, 0o600)
        self.assert_note(self.press(), 1, "connect")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
            last.connect(PLACE)
        listener.close()

    def test_usage(self):
        """Without a socket, and with an argument too many, it prints a usage line and gives status 2."""
        for words in ((), ("more",)):
            program = self.host.share(f"{self.host.build}/client/programs/vm_powerdown/qemu-vm-powerdown")
            done = self.host.run("root", program, *([PLACE] if words else []), *words)
            self.assertEqual((done.status, done.err), (2, "usage: qemu-vm-powerdown SOCKET\n"))

    def test_folder_of_nobody(self):
        """A folder whose owner is no known user is not a VM's: status 2, and no connection is made."""
        folder = f"{furnish.RIG}/sockets"
        os.makedirs(folder, exist_ok=True)
        os.chown(folder, 64999, 64999)
        self.addCleanup(os.rmdir, folder)
        self.assert_note(self.press(f"{folder}/qmp"), 2, "64999")

    def test_conversation(self):
        """The whole conversation: negotiation, the button once, quit once the guest is off, a wait for the end."""
        def act(listener, client):
            client.sendall(GREETING)
            listener.hear(client, b"\n")
            client.sendall(SUCCESS)
            listener.hear(client, b'powerdown"}\n')
            client.sendall(SUCCESS + b'{"event": "POWERDOWN"}\r\n{"event": "SHUTDOWN"}\r\n')
            listener.hear(client, b'quit"}\n')
            client.sendall(SUCCESS)
        done, listener = self.press_with(act)
        self.assertEqual((done.status, done.err), (0, ""))
        self.assertEqual(listener.heard, b'{"execute":"qmp_capabilities"}\n{"execute":"system_powerdown"}\n'
                                         b'{"execute":"quit"}\n')

    def test_repeated(self):
        """The button is pressed again about every 5 seconds and not more often, whatever events QEMU sends."""
        times = []

        def act(listener, client):
            client.sendall(GREETING + SUCCESS)
            for _ in range(3):
                listener.heard = b""
                listener.hear(client, b'powerdown"}\n')
                times.append(time.monotonic())
                client.sendall(SUCCESS + b'{"event": "RTC_CHANGE"}\r\n' * 1000)
        done, _ = self.press_with(act)
        self.assertEqual(done.status, 0)
        self.assertEqual([round((later - earlier) / 5) for earlier, later in zip(times, times[1:])], [1, 1], times)

    def test_not_qemu(self):
        """A peer that does not speak QMP is sent nothing, and the status is 1."""
        for text in (b"220 mail ready\r\n", b"{}\n", b"[" * 60000 + b"\n", b"\0\n", b"\xff\xfe\n"):
            with self.subTest(text=text[:20]):
                def act(listener, client):
                    client.sendall(text)
                    listener.hear(client, b"never")
                done, listener = self.press_with(act)
                self.assert_note(done, 1, "not QEMU's QMP")
                self.assertEqual(listener.heard, b"")

    def test_endless_line(self):
        """A line without end is refused at 64 KiB, before and after the greeting."""
        for before in (b"", GREETING + SUCCESS):
            with self.subTest(before=before[:6]):
                sent = 0

                def act(_, client):
                    nonlocal sent
                    client.sendall(before)
                    while True:
                        sent += client.send(b"x" * 65536)
                done, _ = self.press_with(act)
                self.assert_note(done, 1, "longer")
                self.assertLess(sent, 10_000_000)

    def test_refusal(self):
        """An error of QEMU's to a command is printed without control characters, and the status is 1."""
        def act(listener, client):
            client.sendall(GREETING + b'{"error": {"class": "GenericError", "desc": "no\\u001b[31m button"}}\r\n')
            listener.hear(client, b"never")
        done, _ = self.press_with(act)
        self.assert_note(done, 1, "QEMU refuses", "button")

    def test_closed(self):
        """If the connection is closed at any point, QEMU has ended: status 0."""
        for text in (b"", GREETING, GREETING[:20], GREETING + SUCCESS):
            with self.subTest(text=text[-20:]):
                done, _ = self.press_with(lambda _, client: client.sendall(text))
                self.assertEqual((done.status, done.err), (0, ""))

    def test_silent(self):
        """A peer that accepts and is silent serves another client: it is reported once, and the end is awaited."""
        def act(_, client):
            client.settimeout(12)
            try:
                client.recv(1)
            except TimeoutError:
                pass
        done, _ = self.press_with(act)
        self.assert_note(done, 0, "another client")
