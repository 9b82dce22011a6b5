# SPDX-License-Identifier: MIT
"""All operations ("deeds") by which the holder of a descriptor can affect its tap, after linux/if_tun.h and
netdevice(7): those that the kernel allows and those that it must refuse. TUNSETDEBUG is left out because it fills the
kernel's log."""

import ctypes
import errno
import fcntl
import os
import platform
import socket
import struct

TUNSETIFF, TUNGETIFF = 0x400454CA, 0x800454D2
TUNSETNOCSUM, TUNSETPERSIST, TUNSETOWNER, TUNSETLINK, TUNSETGROUP = (0x400454C8 + number for number in (0, 3, 4, 5, 6))
TUNSETOFFLOAD, TUNSETTXFILTER, TUNSETSNDBUF = 0x400454D0, 0x400454D1, 0x400454D4
TUNATTACHFILTER, TUNDETACHFILTER = 0x401054D5, 0x401054D6
TUNSETVNETHDRSZ, TUNSETQUEUE, TUNSETIFINDEX = 0x400454D8, 0x400454D9, 0x400454DA
TUNSETVNETLE, TUNSETVNETBE = 0x400454DC, 0x400454DE
TUNSETSTEERINGEBPF, TUNSETFILTEREBPF, TUNSETCARRIER = 0x800454E0, 0x800454E1, 0x400454E2
TUNGETDEVNETNS, SIOCGSKNS = 0x54E3, 0x894C
TUNGETSNDBUF, TUNGETVNETHDRSZ, TUNGETFILTER = 0x800454D3, 0x800454D7, 0x801054DB
IFF_TAP, IFF_MULTI_QUEUE, IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE = 0x5002, 0x5102, 0x0200, 0x0400
SIOCSIFHWADDR, SIOCSIFFLAGS, SIOCSIFMTU, SIOCSIFNAME, SIOCSIFADDR = 0x8924, 0x8914, 0x8922, 0x8923, 0x8916
SIOCGIFINDEX = 0x8933
ARPHRD_ETHER, ARPHRD_PPP = 1, 512
SYS_BPF = {"x86_64": 321}.get(platform.machine(), 280)
BPF_PROG_LOAD, BPF_PROG_TYPE_SOCKET_FILTER = 5, 1
LIBC = ctypes.CDLL(None, use_errno=True)


def request(name, form="H", *values):
    """A struct ifreq."""
    return struct.pack(f"16s{form}", name.encode(), *values).ljust(40, b"\0")


def attach(descriptor, name, flags):
    fcntl.ioctl(descriptor, TUNSETIFF, request(name, "H", flags))


def name_of(descriptor):
    """Return the name of the descriptor's tap, or None if the tap is gone."""
    try:
        return fcntl.ioctl(descriptor, TUNGETIFF, bytes(40))[:16].split(b"\0")[0].decode()
    except OSError as error:
        if error.errno == errno.EBADFD:
            return None
        raise


def _integer(command):
    """Return a deed whose ioctl takes its argument by a pointer."""
    return lambda descriptor, value: fcntl.ioctl(descriptor, command, struct.pack("i", value))


def _plain(command):
    return lambda descriptor, value: fcntl.ioctl(descriptor, command, value)


def _queue(descriptor, flag):
    fcntl.ioctl(descriptor, TUNSETQUEUE, request("", "H", flag))


def _drop_all(descriptor, command):
    """Attach a filter whose only instruction drops everything."""
    line = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    fcntl.ioctl(descriptor, command, struct.pack("HxxxxxxQ", 1, ctypes.addressof(line)))


def _transmit_filter(descriptor, count):
    fcntl.ioctl(descriptor, TUNSETTXFILTER, struct.pack("HH", 0, count) + bytes(6 * count))


def _program(descriptor, command):
    """Attach the BPF program `return 0`, loaded as a socket filter, which works where users may load such programs."""
    code = ctypes.create_string_buffer(struct.pack("BBhi", 0xB7, 0, 0, 0) + struct.pack("BBhi", 0x95, 0, 0, 0))
    text = ctypes.create_string_buffer(b"MIT")
    attributes = struct.pack("IIQQ", BPF_PROG_TYPE_SOCKET_FILTER, 2, ctypes.addressof(code), ctypes.addressof(text))
    attributes = ctypes.create_string_buffer(attributes.ljust(128, b"\0"))
    loaded = LIBC.syscall(SYS_BPF, BPF_PROG_LOAD, attributes, 128)
    if loaded < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    try:
        fcntl.ioctl(descriptor, command, struct.pack("i", loaded))
    finally:
        os.close(loaded)


def _address(descriptor, mac):
    fcntl.ioctl(descriptor, SIOCSIFHWADDR, request("", "H6s", ARPHRD_ETHER, mac))


def _by_socket(command, form, *values):
    """Return a deed that names the device in an ioctl on any socket: that needs a right, but no descriptor."""
    def do(descriptor, _):
        name = name_of(descriptor)
        if name is None:
            raise OSError(errno.EBADFD, "no device")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, command, request(name, form, *values))
    return do


def _write_alias(descriptor, text):
    with open(f"/sys/class/net/{name_of(descriptor)}/ifalias", "w", encoding="ascii") as file:
        file.write(text)


def _frame(descriptor, size):
    """Send a frame to the host as a guest would: a virtio header and an Ethernet frame of an unknown protocol."""
    os.write(descriptor, bytes(10) + b"\xff" * 6 + b"\x52\x54\0\0\0\1" + b"\x88\xb5" + bytes(size))


ADDRESS = (socket.AF_INET, 0, socket.inet_aton("192.168.200.1"))
# The kernel must refuse the deeds in REFUSED and allow those in GRANTED. It may do either with those in EITHER: the
# outcome depends on the kind of tap (TUNSETQUEUE) or on the host (BPF programs; frames while there is no carrier).
REFUSED = {
    "TUNSETIFF again": (lambda descriptor, name: attach(descriptor, name, IFF_TAP), "tap200"),
    "TUNSETLINK": (_plain(TUNSETLINK), ARPHRD_PPP),
    "TUNGETDEVNETNS": (_plain(TUNGETDEVNETNS), 0),
    "SIOCGSKNS": (_plain(SIOCGSKNS), 0),
    "rename": (_by_socket(SIOCSIFNAME, "16s", b"tap201"), None),
    "set down": (_by_socket(SIOCSIFFLAGS, "H", 0), None),
    "MTU": (_by_socket(SIOCSIFMTU, "i", 9000), None),
    "address": (_by_socket(SIOCSIFADDR, "HH4s", *ADDRESS), None),
    "alias": (_write_alias, "mine"),
}
GRANTED = {
    "TUNSETPERSIST on": (_plain(TUNSETPERSIST), 1),
    "TUNSETPERSIST off": (_plain(TUNSETPERSIST), 0),
    "TUNSETOWNER root": (_plain(TUNSETOWNER), 0),
    "TUNSETOWNER another": (_plain(TUNSETOWNER), 64103),
    "TUNSETGROUP": (_plain(TUNSETGROUP), 64103),
    "MAC": (_address, b"\x02\0\0\0\0\1"),
    "TUNSETCARRIER off": (_integer(TUNSETCARRIER), 0),
    "TUNSETCARRIER on": (_integer(TUNSETCARRIER), 1),
    "TUNSETSNDBUF": (_integer(TUNSETSNDBUF), 1),
    "TUNSETOFFLOAD": (_plain(TUNSETOFFLOAD), 0x1F),
    "TUNSETVNETHDRSZ": (_integer(TUNSETVNETHDRSZ), 12),
    "TUNSETVNETLE": (_integer(TUNSETVNETLE), 1),
    "TUNATTACHFILTER": (_drop_all, TUNATTACHFILTER),
    "TUNDETACHFILTER": (_plain(TUNDETACHFILTER), 0),
    "TUNSETTXFILTER": (_transmit_filter, 4),
    "TUNSETNOCSUM": (_plain(TUNSETNOCSUM), 1),
    "TUNSETSTEERINGEBPF none": (_integer(TUNSETSTEERINGEBPF), -1),
    "TUNSETFILTEREBPF none": (_integer(TUNSETFILTEREBPF), -1),
}
EITHER = {
    "TUNSETIFINDEX": (_integer(TUNSETIFINDEX), 4242),
    "TUNSETQUEUE detach": (_queue, IFF_DETACH_QUEUE),
    "TUNSETQUEUE attach": (_queue, IFF_ATTACH_QUEUE),
    "TUNSETSTEERINGEBPF": (_program, TUNSETSTEERINGEBPF),
    "TUNSETFILTEREBPF": (_program, TUNSETFILTEREBPF),
    "TUNSETVNETBE": (_integer(TUNSETVNETBE), 1),
    "a frame": (_frame, 1000),
}
DEEDS = {**REFUSED, **GRANTED, **EITHER}


def do(descriptor, deed):
    """Do the deed; return 0, or the errno with which the kernel refused it."""
    function, argument = DEEDS[deed]
    try:
        function(descriptor, argument)
    except OSError as error:
        return error.errno
    return 0
