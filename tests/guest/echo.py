# SPDX-License-Identifier: MIT
"""A ping from the host, the first thing that a person tries with a new guest."""

import os
import select
import socket
import struct
import time

ECHO_REQUEST, ECHO_REPLY = 8, 0


def checksum(packet):
    """Return the checksum of RFC 1071 of a packet of even length."""
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(identifier):
    packet = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, identifier, 1) + b"qemu-tap"
    return packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]


def answers(address, limit=60):
    """Return whether the guest at this address answers one ping. The guest has booted, so one ping must do."""
    identifier = os.getpid() & 0xFFFF
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as icmp:
        icmp.sendto(echo_request(identifier), (address, 0))
        deadline = time.monotonic() + limit
        while select.select([icmp], [], [], max(0, deadline - time.monotonic()))[0]:
            packet, (sender, _) = icmp.recvfrom(2048)
            kind, _, _, answered = struct.unpack_from("!BBHH", packet, (packet[0] & 15) * 4)
            if (sender, kind, answered) == (address, ECHO_REPLY, identifier):
                return True
    return False
