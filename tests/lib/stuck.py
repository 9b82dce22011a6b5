# SPDX-License-Identifier: MIT
"""Memory that never comes: files of a file system (FUSE, linux/fuse.h) whose reads stay unanswered until a test says
so. A process that writes from such memory to a tap stays in that write, and the kernel can't end the tap meanwhile."""

import ctypes
import errno
import os
import stat
import struct
import sys
import threading

from tests.lib import furnish
from tests.lib.process import HANGS

MNT_DETACH = 2
DIRECTORY, FIRST_FILE = 1, 2
LOOKUP, FORGET, GETATTR, OPEN, READ, INIT, INTERRUPT, BATCH_FORGET = 1, 2, 3, 14, 15, 26, 36, 42
SIZE, LONG = 4096, 10_000
LIBC = ctypes.CDLL(None, use_errno=True)

WRITER = """
import mmap, os, sys
with open(sys.argv[1], "rb") as file:
    memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE)
try:
    os.write(int(sys.argv[2]), memory)
except OSError:
    pass
"""


def _attributes(node):
    mode = stat.S_IFDIR | 0o755 if node == DIRECTORY else stat.S_IFREG | 0o644
    return struct.pack("<6Q10I", node, SIZE, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, SIZE, 0)


class NeverFilled:
    """The file system, mounted from the constructor to `close()`. `path(name)` is a file of it, whatever the name."""

    def __init__(self, directory=f"{furnish.RIG}/never-filled"):
        self.directory, self.nodes, self.reads = directory, {}, {}
        self.changed = threading.Condition()
        self.filled = self.closed = False
        self.asked = []  # the names of all files that were looked up, and "" for each look at the directory
        os.makedirs(directory, exist_ok=True)
        if not os.path.exists("/dev/fuse"):
            os.mknod("/dev/fuse", stat.S_IFCHR | 0o666, os.makedev(10, 229))
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.device},rootmode=40755,user_id=0,group_id=0,allow_other"
        if LIBC.mount(b"never-filled", directory.encode(), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), f"can't mount a FUSE file system on {directory}")
        self.server = threading.Thread(target=self._serve, daemon=True)
        self.server.start()

    def path(self, name):
        return f"{self.directory}/{name}"

    def close(self):
        """All reads are answered, and the file system goes."""
        if not self.closed:
            self.closed = True
            self.fill()
            LIBC.umount2(self.directory.encode(), MNT_DETACH)
            self.server.join(10)
            os.close(self.device)

    def fill(self):
        """Answers all reads, also those to come."""
        with self.changed:
            self.filled = True
            for serials in self.reads.values():
                for serial in serials:
                    self._answer(serial, bytes(SIZE))
            self.reads = {}

    def wait_for_reader(self, name, limit=HANGS):
        """Returns when a process waits for this file's content."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.reads.get(self.nodes.get(name)), limit):
                raise AssertionError(f"no process reads {name}")

    def writer(self, host, user, name, descriptor):
        """A process of the user's that writes to the descriptor and stays in that call; returns when it does."""
        popen = host.start(user, sys.executable, "-c", WRITER, self.path(name), str(descriptor), pass_fds=[descriptor])
        self.wait_for_reader(name)
        return popen

    def _answer(self, serial, body=b"", error=0):
        try:
            os.write(self.device, struct.pack("<IiQ", 16 + len(body), -error, serial) + body)
        except OSError as problem:
            if problem.errno != errno.ENOENT:  # the process that asked is gone
                raise

    def _serve(self):
        while True:
            try:
                request = os.read(self.device, 1 << 17)
            except OSError as problem:
                if problem.errno == errno.ENODEV:
                    return  # unmounted
                if problem.errno in (errno.ENOENT, errno.EINTR):
                    continue
                raise
            operation, serial, node = struct.unpack_from("<IQQ", request, 4)
            self._serve_one(operation, serial, node, request[40:])

    def _serve_one(self, operation, serial, node, body):
        with self.changed:
            if operation == INIT:
                self._answer(serial, struct.pack("<IIIIHHIIHHIIII", 7, 31, 65536, 0, 0, 0, 65536, 1, 0, 0, 0, 0, 0, 0)
                             + bytes(16))
            elif operation == LOOKUP:
                name = body.split(b"\0")[0].decode()
                self.asked.append(name)
                known = self.nodes.setdefault(name, FIRST_FILE + len(self.nodes))
                self._answer(serial, struct.pack("<4QII", known, 0, LONG, LONG, 0, 0) + _attributes(known))
            elif operation == GETATTR:
                self.asked.append("")
                self._answer(serial, struct.pack("<QII", LONG, 0, 0) + _attributes(node))
            elif operation == OPEN:
                self._answer(serial, struct.pack("<QII", 0, 0, 0))
            elif operation == READ and not self.filled:
                self.reads.setdefault(node, []).append(serial)
            elif operation == READ:
                self._answer(serial, bytes(SIZE))
            elif operation not in (FORGET, BATCH_FORGET, INTERRUPT):
                self._answer(serial, error=errno.ENOSYS)
            self.changed.notify_all()
