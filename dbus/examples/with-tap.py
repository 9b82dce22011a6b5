#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""with-tap.py QEMU [ARG...]: executes QEMU with a tap that ends with it.

Shows hold "fd" of org.qemutap1 with python3-dbus. The answer holds a socket, and the socket holds a message with the
tap's descriptor. The lease is this descriptor. QEMU inherits it, and no other process has a copy: when QEMU ends,
however it ends, the kernel deletes the device. The script has nothing to release.
"""

import os
import socket
import sys

import dbus

try:
    service = dbus.SystemBus().get_object("org.qemutap1", "/org/qemutap1", introspect=False)
    manager = dbus.Interface(service, "org.qemutap1.Manager")
    # The service may wait 20 s for polkit.
    lease, taps, sockets = manager.Acquire(1, {"hold": "fd"}, signature="ua{sv}", timeout=40)
except dbus.DBusException as error:
    sys.exit(f"{error.get_dbus_name()}: {error.get_dbus_message()}")

# All descriptors of a lease are in one message, which the service sends before the answer.
with socket.socket(fileno=sockets[0].take()) as hand_over:
    _, descriptors, _, _ = socket.recv_fds(hand_over, 1, 16)
tap, descriptor = taps[0], descriptors[0]
print(f"lease {lease}: {tap['name']}, {tap['gateway']}/{tap['prefix-length']}, for the guest {tap['client']}",
      file=sys.stderr)
os.set_inheritable(descriptor, True)
os.execvp(sys.argv[1], [*sys.argv[1:], "-netdev", f"tap,id=net0,fd={descriptor}",
                        "-device", f"virtio-net-pci,netdev=net0,mac={tap['mac']}"])
