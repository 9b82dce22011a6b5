# SPDX-License-Identifier: MIT
"""rtnetlink(7) without another program: `ip` takes milliseconds where the kernel takes microseconds. That is too slow
to interfere with an Acquire in progress, and to look at the host after each of thousands of changes."""

import errno
import fcntl
import ipaddress
import itertools
import os
import socket
import struct
from typing import NamedTuple

# From linux/netlink.h, rtnetlink.h, if_link.h, if_addr.h and if_tun.h.
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_EXCL, NLM_F_CREATE, NLM_F_DUMP_INTR = 1, 4, 0x300, 0x200, 0x400, 0x10
NLMSG_ERROR, NLMSG_DONE = 2, 3
NEWLINK, DELLINK, GETLINK, NEWADDR, DELADDR, GETADDR, NEWROUTE, DELROUTE = 16, 17, 18, 20, 21, 22, 24, 25
NEWLINKPROP, DELLINKPROP = 108, 109
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MASTER, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_GROUP = 1, 3, 10, 18, 20, 27
IFLA_NET_NS_FD, IFLA_PROP_LIST, IFLA_ALT_IFNAME, IFLA_INFO_KIND, IFLA_INFO_DATA = 28, 52, 53, 1, 2
IFLA_TUN_OWNER, IFLA_TUN_TYPE, IFLA_TUN_PERSIST = 1, 3, 6
NESTED = 0x8000
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_PRIORITY, RTA_TABLE = 1, 4, 6, 15
RTPROT_STATIC, RTN_UNICAST, RTN_BLACKHOLE, SCOPE_LINK = 4, 1, 6, 253
IFF_UP, IFF_LOWER_UP = 0x1, 0x10000
TUNSETIFF, TUNSETPERSIST, TUNSETIFINDEX = 0x400454CA, 0x400454CB, 0x400454DA
IFF_TUN, IFF_TAP, IFF_NO_PI, IFF_TUN_EXCL = 0x1, 0x2, 0x1000, 0x8000


class Link(NamedTuple):
    """A link as the kernel has it. `kind` is the kernel's word; `tap` is true for a tun device of type tap."""

    ifindex: int
    name: str
    up: bool
    carrier: bool
    alias: str
    group: int
    mac: str
    master: int
    kind: str
    tap: bool
    owner: int | None
    persistent: bool


def attribute(kind, payload):
    """Encode a netlink attribute. Text gets a zero byte at its end, a number becomes a u32."""
    if isinstance(payload, str):
        payload = payload.encode("utf-8", "surrogateescape") + b"\0"
    elif isinstance(payload, int):
        payload = struct.pack("=I", payload)
    return struct.pack("=HH", len(payload) + 4, kind) + payload + bytes(-len(payload) % 4)


def attributes(body):
    """Decode a sequence of attributes as {kind: payload}."""
    found, position = {}, 0
    while position + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, position)
        if length < 4:
            break
        found[kind & 0x3FFF] = bytes(body[position + 4:position + length])
        position += (length + 3) // 4 * 4
    return found


def text(payload):
    return payload.rstrip(b"\0").decode("utf-8", "surrogateescape")


def number(payload):
    return struct.unpack("=I", payload)[0]


def link_of(body):
    _, _, ifindex, flags, _ = struct.unpack_from("=BxHiII", body)
    found = attributes(body[16:])
    kind = attributes(found.get(IFLA_LINKINFO, b""))
    tun = attributes(kind.get(IFLA_INFO_DATA, b"")) if text(kind.get(IFLA_INFO_KIND, b"")) == "tun" else {}
    return Link(ifindex, text(found[IFLA_IFNAME]), bool(flags & IFF_UP), bool(flags & IFF_LOWER_UP),
                text(found.get(IFLA_IFALIAS, b"")), number(found.get(IFLA_GROUP, bytes(4))),
                found.get(IFLA_ADDRESS, b"").hex(":"), number(found.get(IFLA_MASTER, bytes(4))),
                text(kind.get(IFLA_INFO_KIND, b"")), tun.get(IFLA_TUN_TYPE, b"\0")[0] == IFF_TAP,
                number(tun[IFLA_TUN_OWNER]) if IFLA_TUN_OWNER in tun else None,
                bool(tun.get(IFLA_TUN_PERSIST, b"\0")[0]))


class Rtnetlink:
    """A netlink socket of the network namespace in which it was made. Each request waits for its answer."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.bind((0, 0))
        self.serials = itertools.count(1)

    def close(self):
        self.socket.close()

    def _send(self, kind, flags, body):
        serial = next(self.serials)
        self.socket.send(struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | flags, serial, 0) + body)
        return serial

    def _answers(self, serial):
        """Yield (kind, flags, body) of each message that answers a request. An error from the kernel raises OSError."""
        while True:
            piece, position = self.socket.recv(1 << 18), 0
            while position < len(piece):
                length, kind, flags, answered, _ = struct.unpack_from("=IHHII", piece, position)
                body = piece[position + 16:position + length]
                position += (length + 3) // 4 * 4
                if answered != serial:
                    continue  # the rest of an earlier answer that was not read to its end
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    refused = -struct.unpack_from("=i", body)[0] if body else 0
                    if refused:
                        raise OSError(refused, os.strerror(refused))
                    return
                yield kind, flags, body

    def request(self, kind, body, flags=0):
        return [body for _, _, body in self._answers(self._send(kind, NLM_F_ACK | flags, body))]

    def dump(self, kind, body):
        """Return a consistent dump. If a change interrupts a dump, repeat it."""
        while True:
            answers = list(self._answers(self._send(kind, NLM_F_DUMP, body)))
            if not any(flags & NLM_F_DUMP_INTR for _, flags, _ in answers):
                return [body for _, _, body in answers]

    # Links

    @staticmethod
    def _header(ifindex=0, flags=0, change=0):
        return struct.pack("=BxHiII", 0, 0, ifindex, flags, change)

    def links(self):
        """Return {ifindex: Link} of every link."""
        return {link.ifindex: link for link in map(link_of, self.dump(GETLINK, self._header()))}

    def link(self, ifindex):
        """Return one link, or None if it does not exist."""
        try:
            return link_of(self.request(GETLINK, self._header(ifindex))[0])
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise

    def add_bridge(self, name, mac):
        info = attribute(IFLA_LINKINFO | NESTED, attribute(IFLA_INFO_KIND, "bridge"))
        self.request(NEWLINK, self._header() + attribute(IFLA_IFNAME, name) +
                     attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", ""))) + info, NLM_F_CREATE | NLM_F_EXCL)

    def change(self, ifindex, *, up=None, **settings):
        """Change what is given: up, name, alias, group, master (0: none), namespace (a descriptor)."""
        kinds = {"name": IFLA_IFNAME, "alias": IFLA_IFALIAS, "group": IFLA_GROUP, "master": IFLA_MASTER,
                 "namespace": IFLA_NET_NS_FD}
        header = self._header(ifindex, IFF_UP if up else 0, 0 if up is None else IFF_UP)
        self.request(NEWLINK, header + b"".join(attribute(kinds[key], value) for key, value in settings.items()))

    def delete(self, ifindex):
        self.request(DELLINK, self._header(ifindex))

    def delete_group(self, group):
        self.request(DELLINK, self._header() + attribute(IFLA_GROUP, group))

    def add_alt_name(self, ifindex, name):
        self._change_alt_name(NEWLINKPROP, ifindex, name, NLM_F_CREATE | NLM_F_EXCL)

    def delete_alt_name(self, ifindex, name):
        self._change_alt_name(DELLINKPROP, ifindex, name)

    def _change_alt_name(self, kind, ifindex, name, flags=0):
        names = attribute(IFLA_PROP_LIST | NESTED, attribute(IFLA_ALT_IFNAME, name))
        self.request(kind, self._header(ifindex) + names, flags)

    # Addresses and routes

    def addresses(self):
        """Return {ifindex: {"address/length", ...}} of all IPv4 addresses."""
        found = {}
        for body in self.dump(GETADDR, struct.pack("=BBBBi", socket.AF_INET, 0, 0, 0, 0)):
            _, length, _, _, ifindex = struct.unpack_from("=BBBBi", body)
            local = attributes(body[8:]).get(IFA_LOCAL)
            if local:
                found.setdefault(ifindex, set()).add(f"{socket.inet_ntoa(local)}/{length}")
        return found

    def _change_address(self, kind, ifindex, address, flags=0):
        own, length = address.split("/")
        packed = socket.inet_aton(own)
        self.request(kind, struct.pack("=BBBBi", socket.AF_INET, int(length), 0, 0, ifindex) +
                     attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed), flags)

    def add_address(self, ifindex, address):
        self._change_address(NEWADDR, ifindex, address, NLM_F_CREATE | NLM_F_EXCL)

    def delete_address(self, ifindex, address):
        self._change_address(DELADDR, ifindex, address)

    def _change_route(self, kind, prefix, table, priority, oif, flags=0):
        destination = ipaddress.ip_network(prefix)
        leads = RTN_UNICAST if oif else RTN_BLACKHOLE
        self.request(kind, struct.pack("=BBBBBBBBI", socket.AF_INET, destination.prefixlen, 0, 0, 0, RTPROT_STATIC,
                                       SCOPE_LINK if oif else 0, leads, 0) +
                     attribute(RTA_DST, destination.network_address.packed) + attribute(RTA_TABLE, table) +
                     attribute(RTA_PRIORITY, priority) + (attribute(RTA_OIF, oif) if oif else b""), flags)

    def add_route(self, prefix, table, priority, oif=0):
        """Add a route through the link `oif`, or a black hole route without one."""
        self._change_route(NEWROUTE, prefix, table, priority, oif, NLM_F_CREATE | NLM_F_EXCL)

    def delete_route(self, prefix, table, priority, oif=0):
        self._change_route(DELROUTE, prefix, table, priority, oif)


def open_tun(name, kind=IFF_TAP, ifindex=None, persistent=False):
    """Make a tap or tun and return its descriptor and its name. `name` may be a pattern such as tap%d."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        if ifindex is not None:
            fcntl.ioctl(descriptor, TUNSETIFINDEX, struct.pack("=I", ifindex))
        answer = fcntl.ioctl(descriptor, TUNSETIFF,
                             struct.pack("16sH22x", name.encode(), kind | IFF_NO_PI | IFF_TUN_EXCL))
        fcntl.ioctl(descriptor, TUNSETPERSIST, int(persistent))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor, answer[:16].split(b"\0")[0].decode()


def add_tun(name, kind=IFF_TAP, ifindex=None):
    """Make a persistent tap or tun that no process holds, as `ip tuntap add` does, and return its ifindex."""
    descriptor, name = open_tun(name, kind, ifindex, persistent=True)
    os.close(descriptor)
    return socket.if_nametoindex(name)
