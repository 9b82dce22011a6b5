# SPDX-License-Identifier: MIT
"""Somebody with root who meddles with taps, one change at a time, and knows after each what the host must look like:
everything as he left it, apart from what the daemon had, by the law, a reason to delete meanwhile. A change and
what it is expected to do stand together, so that the expectation owes nothing to what the daemon made of it."""

import contextlib
import ctypes
import errno
import os
import random
import subprocess

from rig import users

import lease_model
import rtnetlink
from rtnetlink import Rtnetlink

CLONE_NEWNET = 0x40000000
FOREIGN_SETTINGS = ({"ipv4/rp_filter": 2}, {"ipv4/proxy_arp": 1},
                    {"ipv4/route_localnet": 1, "ipv4/accept_redirects": 1, "ipv6/accept_ra": 1, "ipv4/rp_filter": 0})
PROMISED_SETTINGS = {"ipv4/rp_filter": 1, "ipv4/proxy_arp": 0, "ipv4/route_localnet": 0, "ipv4/accept_redirects": 0,
                     "ipv6/accept_ra": 0, "ipv6/disable_ipv6": 1}
UIDS = (0, *sorted(users.USERS.values()))


def setting_of(name, path):
    family, setting = path.split("/")
    return f"/proc/sys/net/{family}/conf/{name}/{setting}"


def enter_network(descriptor):
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Elsewhere:
    """Another network namespace, to move taps to."""

    def __init__(self):
        self.popen = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)
        self.popen.stdout.readline()
        self.namespace = os.open(f"/proc/{self.popen.pid}/ns/net", os.O_RDONLY)
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        enter_network(self.namespace)
        try:
            self.net = Rtnetlink()
        finally:
            enter_network(self.home)

    def close(self):
        self.net.close()
        self.popen.kill()
        self.popen.communicate()
        os.close(self.namespace)
        os.close(self.home)


class Meddler:
    """`links` and `addresses` are what must be there, `risky` what the daemon may have deleted by now."""

    def __init__(self, chance):
        self.chance = random.Random(chance)
        self.net = Rtnetlink()
        self.elsewhere = Elsewhere()
        with open("/proc/sys/net/ipv4/conf/all/promote_secondaries", "w", encoding="ascii") as setting:
            setting.write("1")  # else the end of one address would be that of others of its subnet
        self.links, self.addresses, self.risky = {}, {}, set()
        self.away = {}          # ifindex: link, of those moved away
        self.original = {}      # ifindex: alias, of every tap that was given
        self.names = {}         # ifindex: name, likewise
        self.bridge = None
        self.strangers = set()  # never given, but where one was: with its name, at times with its ifindex
        self.unheard = False    # one of these was made ours while down, of which the kernel tells nobody
        self.changes = []       # in words, since the last forget()
        self.made = 0

    def close(self):
        self.elsewhere.close()
        self.net.close()

    def look(self):
        return self.net.links(), self.net.addresses()

    def adopt(self, links, addresses):
        """Takes what is there for what must be there: at the beginning, and where both have been compared."""
        self.links, self.addresses, self.risky = dict(links), dict(addresses), set()

    def differences(self, links, addresses):
        """Where the host is not as it must be, as lines. Whether anybody holds a tap is not looked at. One that had to
        go was perhaps set down for it, and then saved by a change of its group."""
        lines = []
        for ifindex, link in self.links.items():
            whose = "ours" if lease_model.own_tag(link) else "foreign"
            if ifindex not in links:
                lines += [] if ifindex in self.risky else [f"{whose} gone without a reason: {link}"]
                continue
            found = links[ifindex]._replace(carrier=link.carrier)
            if ifindex in self.risky and not found.up:
                found = found._replace(up=link.up)
            if found != link:
                lines.append(f"{whose} changed: {link} is {found}")
            if addresses.get(ifindex, set()) != self.addresses.get(ifindex, set()):
                lines.append(f"{whose} changed: addresses of {link.name} are {addresses.get(ifindex)}, "
                             f"not {self.addresses.get(ifindex)}")
        return lines + [f"unknown: {links[ifindex]}" for ifindex in links.keys() - self.links.keys()]

    def given(self, ifindex):
        """A tap that the daemon has given just now."""
        link = self.net.link(ifindex)
        self.links[ifindex] = link._replace(carrier=link.carrier and not link.persistent)
        self.addresses[ifindex] = self.net.addresses().get(ifindex, set())
        self.original[ifindex], self.names[ifindex] = link.alias, link.name

    def update(self, ifindex, **facts):
        self.links[ifindex] = self.links[ifindex]._replace(**facts)

    def vanished(self, ifindex):
        del self.links[ifindex]
        self.addresses.pop(ifindex, None)

    # One change each of the tap `ifindex`; False: not possible as things are

    def set_down(self, ifindex):
        self.net.change(ifindex, up=False)
        self.update(ifindex, up=False, carrier=False)

    def set_up(self, ifindex):
        self.net.change(ifindex, up=True)
        self.update(ifindex, up=True)

    def rename(self, ifindex):
        if self.links[ifindex].up:
            self.set_down(ifindex)  # older kernels insist
        self.made += 1
        name = self.chance.choice((f"other{self.made}", f"tap{300 + self.made % 700}", self.names[ifindex]))
        if name in {link.name for link in self.links.values()}:
            return False
        self.net.change(ifindex, name=name)
        return self.update(ifindex, name=name)

    def tag(self, ifindex, alias):
        self.net.change(ifindex, alias=alias)
        self.update(ifindex, alias=alias)
        link = self.links[ifindex]
        self.unheard |= ifindex in self.strangers and not link.up and lease_model.own_tag(link) is not None

    def strip(self, ifindex):
        self.tag(ifindex, "")

    def garble(self, ifindex):
        alias = self.original[ifindex]
        self.tag(ifindex, self.chance.choice(("mine now", "qemu-tap2 ", alias[:-8], alias + " ", alias.upper(),
                                              alias.replace(" t=", " t=0"), alias.replace(" h=", " h=x"))))

    def copy(self, ifindex):
        self.tag(ifindex, self.chance.choice([*self.original.values()]))

    def put_back(self, ifindex):
        self.tag(ifindex, self.original[ifindex])

    def retag(self, ifindex):
        """A flawless tag of this very tap, with other values than it was given with."""
        tag = lease_model.decode(self.original[ifindex])
        other = lease_model.decode(self.chance.choice(list(self.original.values())))
        changed = self.chance.choice((
            {"label": f"forged{self.made}"}, {"uid": self.chance.choice(UIDS)}, {"index": self.chance.randrange(400)},
            {"hold": "fd" if tag.hold == "name" else "name"}, {"mac": "52:54:00:00:00:01", "queues": 4},
            {"lease": f"{self.chance.getrandbits(64):016x}"}, {"position": other.position, "count": other.count},
            {"lease": f"{self.chance.getrandbits(64):016x}", "position": 0, "count": 1},
            {"lease": other.lease, "position": self.chance.randrange(other.count), "count": other.count}))
        self.tag(ifindex, tag._replace(**changed).text())

    def regroup(self, ifindex):
        group = self.chance.choice((0, 77, lease_model.LIVE_GROUP))
        self.net.change(ifindex, group=group)
        self.update(ifindex, group=group)

    def delete(self, ifindex):
        self.net.delete(ifindex)
        self.vanished(ifindex)

    def recreate(self, ifindex):
        """Another tap in its place: of its name, at times even with its ifindex or its alias, word for word."""
        name = self.links[ifindex].name
        self.delete(ifindex)
        same_number = self.chance.random() < 0.4
        new = rtnetlink.add_tun(name, ifindex=ifindex if same_number else None)
        self.links[new], self.addresses[new] = self.net.link(new), set()
        self.strangers.add(new)
        self.original[new], self.names[new] = self.original[ifindex], name
        if not same_number and self.chance.random() < 0.7:
            self.put_back(new)
        if self.chance.random() < 0.5:
            self.set_up(new)

    def move_away(self, ifindex):
        self.net.change(ifindex, namespace=self.elsewhere.namespace)
        self.away[ifindex] = self.links[ifindex]._replace(up=False, carrier=False, master=0)
        self.vanished(ifindex)

    def move_back(self, ifindex):
        """Its ifindex is its own again, unless somebody else has it by now."""
        link = self.away[ifindex]
        if ifindex in self.links or link.name in {other.name for other in self.links.values()}:
            return False
        self.elsewhere.net.change(ifindex, namespace=self.elsewhere.home)
        self.links[ifindex], self.addresses[ifindex] = self.away.pop(ifindex), set()
        return True

    def add_address(self, ifindex):
        address = f"192.168.{self.chance.randrange(256)}.{self.chance.randrange(1, 255)}/{self.chance.choice((24, 32))}"
        if any(address in held for held in self.addresses.values()):
            return False
        self.net.add_address(ifindex, address)
        return self.addresses.setdefault(ifindex, set()).add(address)

    def delete_address(self, ifindex):
        if not self.addresses.get(ifindex):
            return False
        address = self.chance.choice(sorted(self.addresses[ifindex]))
        self.net.delete_address(ifindex, address)
        return self.addresses[ifindex].remove(address)

    def enslave(self, ifindex):
        master = 0 if self.links[ifindex].master else self.bridge
        self.net.change(ifindex, master=master)
        self.update(ifindex, master=master)

    def change_setting(self, ifindex):
        """One that the kernel announces, or several of which it announces one; unsettled() wants them back."""
        link = self.links[ifindex]
        with contextlib.suppress(FileNotFoundError):
            for path, value in self.chance.choice(FOREIGN_SETTINGS).items():
                with open(setting_of(link.name, path), "w", encoding="ascii") as setting:
                    setting.write(str(value))

    @staticmethod
    def unsettled(links):
        """Of the taps that are a lease's by the law, the settings that somebody changed, as lines."""
        lines = []
        for places in lease_model.claims(links).values():
            for ifindex in (ifindexes[0] for ifindexes in places.values() if len(ifindexes) == 1):
                with contextlib.suppress(FileNotFoundError):
                    for path, value in PROMISED_SETTINGS.items():
                        with open(setting_of(links[ifindex].name, path), encoding="ascii") as setting:
                            found = int(setting.read())
                        lines += [] if found == value else [f"{path} of {links[ifindex].name} is {found}"]
        return lines

    # What he does next

    def assess(self):
        """To be called after every change, as the daemon may be at once."""
        self.risky |= lease_model.at_risk(self.links, self.risky)

    def meddle(self):
        """One change of one of the taps that were given, or of what took the place of one."""
        if self.away and self.chance.random() < 0.3:
            self.attempt("move_back", self.chance.choice(list(self.away)))
            return
        candidates = sorted(self.links.keys() & self.original.keys())
        if not candidates:
            return
        self.attempt(self.chance.choice(CHANGES), self.chance.choice(candidates))

    def attempt(self, change, ifindex):
        try:
            if getattr(self, change)(ifindex) is not False:
                self.changes.append(f"{change} {ifindex}")
        except OSError as error:
            # The daemon was faster. If it had no reason to be, the next look tells.
            if error.errno not in (errno.ENODEV, errno.EADDRNOTAVAIL) or self.net.link(ifindex):
                raise
        finally:
            self.assess()  # also of half a change

    def forge(self, ifindex):
        """Makes a foreign device look like ours: a tap by somebody else's tag, another kind by a flawless one of its
        own. A foreign tap with a flawless tag of its own is ours by the law, and so not among them."""
        alias = self.chance.choice([*self.original.values(), ""])
        tag = lease_model.decode(alias)
        if tag and not self.links[ifindex].tap:
            alias = tag._replace(ifindex=ifindex).text()
        self.tag(ifindex, alias)

    def let_go(self, ifindexes):
        """The holder of these taps' descriptors has closed them."""
        for ifindex in ifindexes:
            for there in (self.links, self.away):
                if ifindex in there and not there[ifindex].persistent:
                    del there[ifindex]
        self.assess()

    def forget(self):
        """Takes away all that is left of the taps that were given, here and elsewhere."""
        for ifindex in self.away:
            with contextlib.suppress(OSError):
                self.elsewhere.net.delete(ifindex)
        for ifindex in self.links.keys() & self.original.keys():
            with contextlib.suppress(OSError):
                self.net.delete(ifindex)
            self.vanished(ifindex)
        self.away, self.original, self.names, self.changes = {}, {}, {}, []


CHANGES = ("set_down", "set_down", "set_up", "set_up", "rename", "rename", "strip", "strip", "garble", "copy", "copy",
           "put_back", "put_back", "put_back", "retag", "retag", "regroup", "delete", "delete", "recreate", "recreate",
           "move_away", "move_away", "add_address", "add_address", "delete_address", "delete_address", "enslave",
           "change_setting", "change_setting")
