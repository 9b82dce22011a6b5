# SPDX-License-Identifier: MIT
"""A real libvirtd on the scratch host, a user's own or the system's. Its domains contain the test guest. The serial
port of each domain is a socket on which the test listens for the guest's report."""

import os
import re
import select
import socket
import time
import uuid

from tests.lib import furnish
from tests.lib.host import identity, program_environment
from tests.lib.process import Process, until

# Seconds. An emulated guest boots in 1 to 5 s, and libvirtd probes all installed QEMUs before it starts the first
# domain. Both take longer on a busy machine.
BOOT_LIMIT = 180

DOMAIN = """<domain type='qemu'>
  <name>{name}</name><uuid>{uuid}</uuid>
  <memory unit='MiB'>256</memory>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{words}</cmdline>
  </os>
  <features><acpi/></features>
  <on_reboot>destroy</on_reboot>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <serial type='unix'><source mode='connect' path='{console}'/><target port='0'/></serial>
    {nic}
    <memballoon model='none'/>
  </devices>
</domain>
"""


class Console:
    """The socket that a domain's serial port connects to, each time the domain starts."""

    def __init__(self, path):
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen()
        self.lines = []

    def close(self):
        self.listener.close()
        os.unlink(self.path)

    def hear(self, pattern):
        """Read the lines of the next start up to the first one that matches."""
        self.lines, pending, deadline = [], b"", time.monotonic() + BOOT_LIMIT
        self.listener.settimeout(BOOT_LIMIT)
        connection, _ = self.listener.accept()
        with connection:
            while not any(re.search(pattern, line) for line in self.lines):
                if not select.select([connection], [], [], max(0, deadline - time.monotonic()))[0]:
                    raise AssertionError(f"the guest did not write {pattern!r} within {BOOT_LIMIT} s: {self.lines}")
                chunk = connection.recv(65536)
                if not chunk:
                    raise AssertionError(f"the guest did not write {pattern!r} before its end: {self.lines}")
                *lines, pending = (pending + chunk).split(b"\n")
                self.lines += [line.decode(errors="replace").rstrip("\r") for line in lines]

    def story(self):
        return [line for line in self.lines if line.startswith("GUEST-") and not line.startswith("GUEST-UPTIME")]


class Libvirt:
    """A libvirtd for `qemu:///session` of a user, or root's for `qemu:///system`."""

    def __init__(self, host, user, uri, configuration, folder):
        self.host, self.user, self.uri, self.folder = host, user, uri, folder
        self.configuration = configuration
        self.daemon = None

    def write(self, path, text):
        """Write a file as the user, in folders of the user."""
        done = self.host.run(self.user, "sh", "-c", 'mkdir -p "${1%/*}" && printf %s "$2" >"$1"', "write", path, text)
        if done.status:
            raise RuntimeError(f"{path}: {done}")

    def configure(self, *lines):
        """Write the configuration. Consoles are sockets of the test, so no virtlogd is needed."""
        self.write(self.configuration, "\n".join(['stdio_handler = "file"', *lines, ""]))

    def start(self):
        sockets = os.path.join(self.folder, "libvirt-sock")
        if os.path.exists(sockets):
            os.unlink(sockets)
        log = f"{furnish.RIG}/libvirtd.log"
        open(log, "wb").close()
        environment = program_environment(self.user)
        self.daemon = Process(["libvirtd"], log, env=environment,
                              cwd=environment["HOME"], **identity(self.user))
        until(lambda: os.path.exists(sockets) or not self.daemon.alive(), f"libvirtd listens on {sockets}")
        if not self.daemon.alive():
            raise RuntimeError(f"libvirtd ended: {self.daemon.log()}")

    def close(self):
        if self.daemon:
            for name in self.virsh("list", "--name").out.split():
                self.virsh("destroy", name)
            for name in self.virsh("list", "--all", "--name").out.split():
                self.virsh("undefine", name)
            self.daemon.close()
            self.daemon = None

    def virsh(self, *arguments):
        return self.host.run(self.user, "virsh", "-q", "-c", self.uri, *arguments, timeout=60)

    def define(self, name, **parts):
        """Define the domain with this name, or replace it."""
        path = f"{furnish.RIG}/{name}.xml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(DOMAIN.format(name=name, uuid=uuid.uuid5(uuid.NAMESPACE_DNS, name), **parts))
        done = self.virsh("define", path)
        if done.status:
            raise RuntimeError(f"virsh define: {done}")
