# SPDX-License-Identifier: MIT
"""The other ways by which people get taps today. Each peer runs really, with `up()` and `down()` that return their
time. The constructor of a peer that cannot run here raises an exception."""

import array
import os
import socket
import subprocess

from tests.bench.place import UID, mount_empty
from tests.lib import users
from tests.lib.process import Process

# The steps of Yocto's scripts for tap N since they use ip(8) (openembedded-core, runqemu-ifup and runqemu-ifdown): find
# the highest number in use, make the tap with its owner, look for programs, set address and route, add two masquerading
# rules, and enable forwarding. Each line starts the programs that the script starts there, even which(1) and sed(1).
IFUP = f"""
ip tuntap list | cut -f 1 -d : | grep tap | sed s/tap// | sort -rn | head -n 1
ip tuntap add "$1" mode tap user {UID}
which ip
which iptables
echo "$1" | sed s/tap//
echo "$1" | sed s/tap//
ip addr add 192.168.7.$(($2 * 2 + 1))/32 broadcast 192.168.7.255 dev "$1"
ip link set dev "$1" up
ip route add to 192.168.7.$(($2 * 2 + 2)) dev "$1"
iptables -A POSTROUTING -t nat -j MASQUERADE -s 192.168.7.$(($2 * 2 + 1))/32
iptables -A POSTROUTING -t nat -j MASQUERADE -s 192.168.7.$(($2 * 2 + 2))/32
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > "/proc/sys/net/ipv4/conf/$1/proxy_arp"
iptables -P FORWARD ACCEPT
"""
IFDOWN = """
ip tuntap del "$1" mode tap
which ip
! ip link show "$1" >/dev/null 2>&1 || ip link del "$1"
which iptables
echo "$1" | sed s/tap//
echo "$1" | sed s/tap//
iptables -D POSTROUTING -t nat -j MASQUERADE -s 192.168.7.$(($2 * 2 + 1))/32
iptables -D POSTROUTING -t nat -j MASQUERADE -s 192.168.7.$(($2 * 2 + 2))/32
"""
# The least that a script must do.
IP_UP = f"""
ip tuntap add "$1" mode tap user {UID}
ip addr add 192.168.7.1/24 dev "$1"
ip link set dev "$1" up
"""
IP_DOWN = 'ip tuntap del "$1" mode tap'

NETWORK = """<network><name>bench</name><bridge name="benchbr0"/>
  <ip address="10.127.0.1" netmask="255.255.255.0"><dhcp><range start="10.127.0.2" end="10.127.0.9"/></dhcp></ip>
</network>
"""


class Script:
    """Steps in a shell, for one tap after another. With `-e` a failed step makes the measurement fail."""

    def __init__(self, place, name, shell, up, down, number):
        self.place, self.name, self.shell, self.texts = place, name, shell, (up, down)
        self.arguments = (f"tap{number}", str(number))

    def up(self):
        return self.place.milliseconds(self.shell, "-e", "-c", self.texts[0], "up", *self.arguments)

    def down(self):
        return self.place.milliseconds(self.shell, "-e", "-c", self.texts[1], "down", *self.arguments)


class Runqemu:
    """The scripts in the folder OE_SCRIPTS."""

    name = "runqemu-ifup, runqemu-ifdown of OE_SCRIPTS"

    def __init__(self, place, folder):
        self.place, self.folder = place, folder

    def up(self):
        return self.place.milliseconds(f"{self.folder}/runqemu-ifup", str(UID))

    def down(self):
        (tap,) = [name for name in os.listdir("/sys/class/net") if name.startswith("tap")]
        return self.place.milliseconds(f"{self.folder}/runqemu-ifdown", tap)


def runqemu(place):
    folder = os.environ.get("OE_SCRIPTS")
    if folder:
        return Runqemu(place, folder)
    return Script(place, "runqemu-ifup's and -ifdown's steps", "bash", IFUP, IFDOWN, 60)


def shell(place):
    return Script(place, "three ip commands", "sh", IP_UP, IP_DOWN, 61)


class Libvirt:
    """An isolated network of a libvirtd that has made one before."""

    name = "virsh net-create, net-destroy"

    def __init__(self, place):
        self.place = place
        mount_empty("/run/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")
        users.add_libvirts_user()
        self.definition = "/run/libvirt/bench.xml"
        with open(self.definition, "w", encoding="ascii") as file:
            file.write(NETWORK)
        self.daemon = Process(["libvirtd"], "/run/libvirt/libvirtd.log")
        while not os.path.exists("/run/libvirt/libvirt-sock"):
            if not self.daemon.alive():
                raise RuntimeError(f"libvirtd ended: {self.daemon.log()}")
        self.up()
        self.down()

    def up(self):
        return self.place.milliseconds("virsh", "-q", "-c", "qemu:///system", "net-create", self.definition)

    def down(self):
        return self.place.milliseconds("virsh", "-q", "-c", "qemu:///system", "net-destroy", "bench")

    def close(self):
        self.daemon.close()


class Bridge:
    """QEMU's setuid program: it returns a tap on an existing bridge as a descriptor."""

    name = "qemu-bridge-helper with a ready bridge"
    program = "/usr/lib/qemu/qemu-bridge-helper"

    def __init__(self, place):
        self.place = place
        os.makedirs("/etc/qemu", exist_ok=True)
        with open("/etc/qemu/bridge.conf", "w", encoding="ascii") as file:
            file.write("allow benchbr1\n")
        subprocess.run(["ip", "link", "add", "benchbr1", "type", "bridge"], check=True)
        subprocess.run(["ip", "link", "set", "benchbr1", "up"], check=True)
        self.tap = -1

    def up(self):
        own, its = socket.socketpair()
        with own, its:
            os.set_inheritable(its.fileno(), True)
            took = self.place.milliseconds(self.program, "--use-vnet", f"--fd={its.fileno()}", "--br=benchbr1",
                                           pass_fds=[its.fileno()])
            _, ancillary, _, _ = own.recvmsg(1, socket.CMSG_SPACE(4))
            (self.tap,) = array.array("i", ancillary[0][2])
        return took

    def down(self):
        os.close(self.tap)
