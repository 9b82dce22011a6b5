# SPDX-License-Identifier: MIT
"""Plays the guest of a tap: writes frames, built by the RFCs, into the tap's descriptor and reads the host's frames."""

import os
import select
import socket
import struct

VIRTIO_NET_HEADER = bytes(10)
GUEST_MAC = bytes.fromhex("525400000007")
UDP, ICMP, ICMPV6 = 17, 1, 58


def mac_of(name):
    with open(f"/sys/class/net/{name}/address", encoding="ascii") as file:
        return bytes.fromhex(file.read().strip().replace(":", ""))


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, destination, protocol, payload):
    def header(check):
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, check,
                           socket.inet_aton(source), socket.inet_aton(destination))
    return header(checksum(header(0))) + payload


def udp(port, payload):
    return struct.pack("!HHHH", 4000, port, 8 + len(payload), 0) + payload


def redirect(destination, gateway, source, of_source):
    """The datagram by which a router redirects traffic for `destination` to `gateway`. It quotes an echo reply, because
    the kernel itself sends those. For a quoted packet of a program the kernel would look for that program's socket."""
    sent = ipv4(of_source, destination, ICMP, bytes(8))

    def message(check):
        return struct.pack("!BBH4s", 5, 1, check, socket.inet_aton(gateway)) + sent[:28]
    return ipv4(source, of_source, ICMP, message(checksum(message(0))))


def router_advertisement():
    """RFC 4861: a default router for half an hour, and a prefix from which the receiver makes addresses."""
    source, everyone = socket.inet_pton(socket.AF_INET6, "fe80::1"), socket.inet_pton(socket.AF_INET6, "ff02::1")
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 86400, 86400, 0) + socket.inet_pton(socket.AF_INET6, "2001:db8::")
    link = struct.pack("!BB6s", 1, 1, GUEST_MAC)

    def message(check):
        return struct.pack("!BBHBBHII", 134, 0, check, 64, 0, 1800, 0, 0) + prefix + link
    pseudo = source + everyone + struct.pack("!I3xB", len(message(0)), ICMPV6)
    payload = message(checksum(pseudo + message(0)))
    return struct.pack("!IHBB", 0x60000000, len(payload), ICMPV6, 255) + source + everyone + payload


class Guest:
    """`header` is the virtio header before each frame; it is empty for a tap without IFF_VNET_HDR."""

    def __init__(self, name, descriptor, header=VIRTIO_NET_HEADER):
        self.name, self.descriptor, self.header = name, descriptor, header
        os.set_blocking(descriptor, False)

    def send(self, destination, kind, payload):
        os.write(self.descriptor, self.header + destination + GUEST_MAC + struct.pack("!H", kind) + payload)

    def send_ipv4(self, source, destination, protocol, payload):
        self.send(mac_of(self.name), 0x0800, ipv4(source, destination, protocol, payload))

    def send_router_advertisement(self):
        self.send(bytes.fromhex("333300000001"), 0x86DD, router_advertisement())

    def ask_for(self, address, own):
        """Sends an ARP request."""
        self.send(b"\xff" * 6, 0x0806, struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, GUEST_MAC,
                                                   socket.inet_aton(own), bytes(6), socket.inet_aton(address)))

    def received(self, wanted, seconds):
        """Reports whether a frame arrives for which `wanted` is true."""
        while select.select([self.descriptor], [], [], seconds)[0]:
            if wanted(os.read(self.descriptor, 65536)[len(self.header):]):
                return True
        return False


def is_multicast(frame):
    return frame[0] & 1 == 1 and frame[:6] != b"\xff" * 6


def is_arp_answer_for(address):
    return lambda frame: frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\x02" and \
        frame[28:32] == socket.inet_aton(address)
