# SPDX-License-Identifier: MIT
"""Makes changes to taps as root, one at a time, and knows after each one what the host must look like: as the meddler
left it, apart from what the contract gives the daemon a reason to delete. The code of each change also updates that
expectation, so the expectation does not depend on what the daemon did."""

import contextlib
import ctypes
import errno
import os
import random
import subprocess

from tests.faults import lease_model
from tests.faults import rtnetlink
from tests.faults.rtnetlink import Rtnetlink
from tests.lib import users

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
    """Another network namespace, into which the meddler moves taps."""

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
    """`links` and `addresses` are what must exist. `risky` is what the daemon may have deleted already."""

    def __init__(self, chance):
        self.chance = random.Random(chance)
        self.net = Rtnetlink()
        self.elsewhere = Elsewhere()
        with open("/proc/sys/net/ipv4/conf/all/promote_secondaries", "w", encoding="ascii") as setting:
            setting.write("1")  # else deleting an address deletes others of its subnet
        self.links, self.addresses, self.risky = {}, {}, set()
        self.away = {}          # ifindex: link, of taps moved away
        self.original = {}      # ifindex: alias, of every tap that the daemon gave
        self.names = {}         # ifindex: name, of every tap that the daemon gave
        self.bridge = None
        self.strangers = set()  # taps that the meddler made in place of a given one: same name, perhaps same ifindex
        self.unheard = False    # a stranger got a valid tag while down, which the kernel does not announce
        self.changes = []       # as text, since the last forget()
        self.made = 0

    def close(self):
        self.elsewhere.close()
        self.net.close()

    def look(self):
        return self.net.links(), self.net.addresses()

    def adopt(self, links, addresses):
        """Expect what exists: at the beginning, and after a comparison that found no difference."""
        self.links, self.addresses, self.risky = dict(links), dict(addresses), set()

    def differences(self, links, addresses):
        """Return where the host is not as it must be, as lines. The carrier is not compared: it shows only whether a
        process holds the tap. A tap that the daemon had to delete may be down: the daemon set it down for the deletion,
        and then a change of its group saved it."""
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
        """Expect a tap that the daemon has just given."""
        link = self.net.link(ifindex)
        self.links[ifindex] = link._replace(carrier=link.carrier and not link.persistent)
        self.addresses[ifindex] = self.net.addresses().get(ifindex, set())
        self.original[ifindex], self.names[ifindex] = link.alias, link.name

    def update(self, ifindex, **facts):
        self.links[ifindex] = self.links[ifindex]._replace(**facts)

    def vanished(self, ifindex):
        del self.links[ifindex]
        self.addresses.pop(ifindex, None)

    # Each of these makes one change of the tap `ifindex`, or returns False if that is not possible now.

    def set_down(self, ifindex):
        self.net.change(ifindex, up=False)
        self.update(ifindex, up=False, carrier=False)

    def set_up(self, ifindex):
        self.net.change(ifindex, up=True)
        self.update(ifindex, up=True)

    def rename(self, ifindex):
        if self.links[ifindex].up:
            self.set_down(ifindex)  # older kernels rename only links that are down
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
        """Write a valid tag of this tap with other values than it was given with."""
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
        """Replace the tap by another one of the same name, sometimes with its ifindex or with its exact alias."""
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
        """Move the tap back. It keeps its ifindex, so this is not possible if another link has that by now."""
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
        """Change one setting, or several of which the kernel announces one. unsettled() waits for their old values."""
        link = self.links[ifindex]
        with contextlib.suppress(FileNotFoundError):
            for path, value in self.chance.choice(FOREIGN_SETTINGS).items():
                with open(setting_of(link.name, path), "w", encoding="ascii") as setting:
                    setting.write(str(value))

    @staticmethod
    def unsettled(links):
        """Return the settings that are not as promised, as lines, of the taps that are in a lease by the contract."""
        lines = []
        for places in lease_model.claims(links).values():
            for ifindex in (ifindexes[0] for ifindexes in places.values() if len(ifindexes) == 1):
                with contextlib.suppress(FileNotFoundError):
                    for path, value in PROMISED_SETTINGS.items():
                        with open(setting_of(links[ifindex].name, path), encoding="ascii") as setting:
                            found = int(setting.read())
                        lines += [] if found == value else [f"{path} of {links[ifindex].name} is {found}"]
        return lines

    # Choosing the next change

    def assess(self):
        """Note what the daemon may delete now. Call this after every change, as the daemon may act at once."""
        self.risky |= lease_model.at_risk(self.links, self.risky)

    def meddle(self):
        """Change one of the taps that the daemon gave, or one that replaced such a tap."""
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
            # The daemon deleted it first. If it had no reason to, the next look finds that.
            if error.errno not in (errno.ENODEV, errno.EADDRNOTAVAIL) or self.net.link(ifindex):
                raise
        finally:
            self.assess()  # also after half a change

    def forge(self, ifindex):
        """Make a foreign device look like the daemon's: a tap by a tag that names another link, another kind of device
        by a valid tag of its own. A foreign tap with a valid tag of its own is the daemon's by the contract."""
        alias = self.chance.choice([*self.original.values(), ""])
        tag = lease_model.decode(alias)
        if tag and not self.links[ifindex].tap:
            alias = tag._replace(ifindex=ifindex).text()
        self.tag(ifindex, alias)

    def let_go(self, ifindexes):
        """Expect the end of these taps: their holder has closed the descriptors."""
        for ifindex in ifindexes:
            for there in (self.links, self.away):
                if ifindex in there and not there[ifindex].persistent:
                    del there[ifindex]
        self.assess()

    def forget(self):
        """Delete all that is left of the taps that the daemon gave, in both namespaces."""
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
