# SPDX-License-Identifier: MIT
"""`qemu-tapctl runqemu`: Yocto's own script on a lease, started by an ordinary user without sudo. If OE_SCRIPTS in the
environment names openembedded-core's folder `scripts`, the tests run that runqemu, unmodified. Otherwise they run
tests/guest/runqemu_stand_in.py."""

import os
import select
import shutil
import signal
import socket
import struct
import time

import pytest

from tests.guest.guest import CACHE, CONSOLE, QEMU, USER, GuestRing
from tests.lib import furnish, kernel, users
from tests.lib.host import SYSTEM_PATH
from tests.lib.process import HANGS, until

pytestmark = pytest.mark.early

HERE = os.path.dirname(os.path.abspath(__file__))
IMAGES = f"{furnish.RIG}/yocto"
# The user's PATH has only these programs. sudo is not among them.
PROGRAMS = f"{furnish.RIG}/yocto-bin"
FROM_HERE = (QEMU, "env", "ip", "ps", "python3", "sh", "stty", "tput")
LOCKS = f"{furnish.RIG}/runqemu-locks"
# runqemu's lock directory has a fixed path in /tmp, and /tmp is the machine's, so each program gets its own view of it.
ENTER = f"""
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir /tmp/qemu-tap-locks
mount --bind {LOCKS} /tmp/qemu-tap-locks
user=$1
shift
exec setpriv --reuid="$user" --regid="$user" --init-groups env PATH={PROGRAMS} HOME={users.HOMES}/$user "$@"
"""
SETTINGS = """[config_bsp]
deploy_dir_image = .
image_link_name = image
image_name = image
kernel_imagetype = bzImage
machine = qemux86-64
qb_default_fstype = cpio.gz
qb_default_kernel = bzImage
qb_kernel_cmdline_append = {console}
qb_machine = -machine pc,accel=tcg
qb_mem = -m 256
qb_network_device = -device {model},netdev=net0,mac=@MAC@
qb_opt_append = -nodefaults -no-user-config -no-reboot
qb_system_name = qemu-system-x86_64
staging_bindir_native = {folder}
staging_dir_host = {folder}
staging_dir_native = {folder}
"""
# Settings of the same image with different NICs, by the name of their file.
MODELS = {"image": "virtio-net-pci", "image-e1000": "e1000"}
IDENTIFIER = 0x5151
# Seconds that openembedded-core's runqemu of August 2026 waits in its signal handler, in communicate(timeout=5), even
# if QEMU has ended.
HANDLER_WAITS = 5
WAITING = "guest.end=wait guest.pings=0"


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def words(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().decode().split("\0")[:-1]


def icmp(kind, sequence):
    """Return an ICMP message of RFC 792: type, code, checksum, identifier, sequence number."""
    total = (kind << 8) + IDENTIFIER + sequence
    return struct.pack("!BBHHH", kind, 0, ~(total + (total >> 16)) & 0xFFFF, IDENTIFIER, sequence)


def echo_request(sequence):
    return icmp(8, sequence)


def echo_reply(sequence):
    return icmp(0, sequence)


class Runqemu(GuestRing):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for folder in (PROGRAMS, LOCKS):
            os.makedirs(folder, exist_ok=True)
        os.chmod(LOCKS, 0o1777)
        programs = {name: shutil.which(name, path=SYSTEM_PATH) for name in FROM_HERE}
        scripts = os.environ.get("OE_SCRIPTS")
        own = {"runqemu": f"{scripts}/runqemu" if scripts else f"{HERE}/runqemu_stand_in.py",
               "qemu-tapctl": f"{cls.host.build}/client/qemu-tapctl"}
        for name in ("runqemu-ifup", "runqemu-ifdown") if scripts else ():
            own[name] = f"{scripts}/{name}"
        programs.update({name: cls.host.share(path, name) for name, path in own.items()})
        for name, path in programs.items():
            if path and not os.path.lexists(f"{PROGRAMS}/{name}"):
                os.symlink(path, f"{PROGRAMS}/{name}")
        for image in CONSOLE:
            folder = f"{IMAGES}/{image}"
            os.makedirs(folder, exist_ok=True)
            for name, file in (("bzImage", "vmlinuz"), ("image.cpio.gz", "initrd")):
                shutil.copy(f"{CACHE}/{image}/{file}", f"{folder}/{name}")
            for name, model in MODELS.items():
                with open(f"{folder}/{name}.qemuboot.conf", "w", encoding="ascii") as file:
                    file.write(SETTINGS.format(folder=folder, console=CONSOLE[image], model=model))

    def start_runqemu(self, image, *options, boot=WAITING, settings="image", arguments=()):
        """Start a guest by the client's `runqemu`; return it, its lease, and the pids of runqemu and of QEMU."""
        known = {lease["lease"] for lease in self.leases()}
        guest = self.start("unshare", "--mount", "--propagation", "private", "sh", "-ec", ENTER, "sh", USER,
                           "qemu-tapctl", "runqemu", *options, "--", f"{IMAGES}/{image}/{settings}.qemuboot.conf",
                           "nographic", f"bootparams={boot}", *arguments, user="root")
        guest.wait_for("^GUEST-NIC eth0 ")
        (lease,) = [lease for lease in self.leases() if lease["lease"] not in known]
        (runqemu,) = children(guest.popen.pid)
        (qemu,) = children(runqemu)
        return guest, lease, runqemu, qemu

    def assert_first(self, lease, qemu, number):
        """Require that the first tap follows runqemu's rule for the number and is net0 of runqemu's QEMU."""
        first = lease["taps"][0]
        self.assertEqual((first["gateway"], first["client"], first["prefix_length"]),
                         (f"192.168.7.{2 * number + 1}", f"192.168.7.{2 * number + 2}", 32))
        self.assertRegex(first["name"], rf"\A[a-z]\w*[a-z]{number}\Z")
        self.assertTrue(any(word.startswith("tap,id=net0,") and f"ifname={first['name']}," in word
                            for word in words(qemu)), words(qemu))

    def assert_pinged(self, *addresses):
        """Require that the guests answer pings from the host, sent by the host's own route to them."""
        for address in addresses:
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as pinger:
                pinger.connect((address, 0))
                pinger.settimeout(10)
                for sequence in range(3):
                    pinger.send(echo_request(sequence))
                    while pinger.recv(2048)[20:28] != echo_reply(sequence):
                        pass

    def story_of_nics(self, guest):
        guest.wait_for("^GUEST-WAITING")
        return [line for line in guest.story() if line.startswith(("GUEST-NIC", "GUEST-ROUTE"))]

    def boots(self, image, second):
        guest, lease, _, qemu = self.start_runqemu(image, "--count", "2")
        self.assert_first(lease, qemu, 0)
        tap = lease["taps"][1]
        self.assertEqual(self.story_of_nics(guest),
                         ["GUEST-NIC eth0 52:54:00:12:34:02 192.168.7.2/24 default-gateway",
                          f"GUEST-NIC eth1 {tap['mac']} {tap['client'] + '/24' if second else 'none'} no-gateway",
                          "GUEST-ROUTE via 192.168.7.1 dev eth0"])
        self.assert_pinged("192.168.7.2", *([tap["client"]] if second else []))
        lock = f"{LOCKS}/{lease['taps'][0]['name']}.lock"
        self.assertTrue(os.path.exists(lock))
        guest.popen.terminate()
        guest.end()
        self.host.no_trace()
        self.assertFalse(os.path.exists(lock))

    def test_both_nics(self):
        """In a guest whose user space reads ip= runqemu's NIC has runqemu's addresses; the host pings both NICs."""
        self.boots("cloud", second=True)

    def test_kernel_reader(self):
        """In a guest whose kernel reads the last ip= only runqemu's NIC has an address."""
        self.boots("pnp", second=False)

    def assert_order(self, options, expected, warning=None):
        """Require that a guest with both drivers, whose own NIC is an e1000, reports its NICs in this order."""
        guest, lease, _, _ = self.start_runqemu("pnp", "--count", "2", *options, settings="image-e1000")
        told = {"runqemu's": "52:54:00:12:34:02 192.168.7.2/24 default-gateway",
                "ours": f"{lease['taps'][1]['mac']} none no-gateway"}
        self.assertEqual(self.story_of_nics(guest)[:2],
                         [f"GUEST-NIC eth{number} {told[whose]}" for number, whose in enumerate(expected)])
        self.assert_pinged("192.168.7.2")
        if warning:
            self.assertRegex(guest.complaints(), warning)
        else:
            self.assertNotIn("qemu-tapctl:", guest.complaints())
        guest.popen.terminate()
        guest.end()

    def test_other_model(self):
        """Beside runqemu's e1000 the added NIC is an e1000 too, by the image's settings, and runqemu's is eth0."""
        self.assert_order([], ["runqemu's", "ours"])

    def test_other_model_chosen(self):
        """With --device virtio-net-pci the added NIC is eth0, runqemu's is eth1 and works; the client warns."""
        self.assert_order(["--device", "virtio-net-pci"], ["ours", "runqemu's"], "eth0 is taken for tap8.*--first-nic")
        self.assert_order(["--device", "virtio-net-pci", "--first-nic", "0"], ["ours", "runqemu's"])

    def test_each_other(self):
        """Two guests reach each other if and only if the host forwards packets, as on taps of runqemu's own."""
        first, *_ = self.start_runqemu("pnp")
        first.wait_for("^GUEST-WAITING")
        path = "/proc/sys/net/ipv4/ip_forward"
        self.addCleanup(self.write, path, "0")
        for forwarded, outcome in (("1", "answers"), ("0", "is silent")):
            self.write(path, forwarded)
            second, *_ = self.start_runqemu("pnp", boot=f"{WAITING} guest.peer=192.168.7.2")
            second.wait_for("^GUEST-WAITING")
            self.assertIn(f"GUEST-PEER 192.168.7.2 {outcome}", second.story())
            second.popen.terminate()
            second.end()
        first.popen.terminate()
        first.end()

    def write(self, path, text):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)

    def test_own_parameters(self):
        """The caller's words for QEMU and the kernel are kept, and the caller's NIC comes before the added one."""
        guest, lease, _, qemu = self.start_runqemu(
            "cloud", "--count", "2", boot="guest.nics=3 guest.addresses=2 guest.pings=0 guest.end=wait",
            arguments=["qemuparams=-netdev user,id=net1 -device virtio-net-pci,netdev=net1,mac=52:54:00:99:00:01"])
        self.assertTrue(any(word.startswith("tap,id=tapctl0,") for word in words(qemu)), words(qemu))
        tap = lease["taps"][1]
        self.assertEqual(self.story_of_nics(guest)[1:3],
                         ["GUEST-NIC eth1 52:54:00:99:00:01 none no-gateway",
                          f"GUEST-NIC eth2 {tap['mac']} {tap['client']}/24 no-gateway"])
        self.assert_pinged(tap["client"])

    def assert_ends(self, name, watched, killed, limit):
        ended = select.select([watched[name]], [], [], limit)[0]
        os.close(watched[name])
        self.assertTrue(ended, f"{killed} was killed, and {name} still runs after {limit} s")

    def test_three_at_once(self):
        """Of three guests at once no device and no QEMU is left after SIGKILL of a QEMU, of a runqemu and of a client.
        runqemu and the client end too. runqemu may need the 5 s that its own handler waits."""
        running = [self.start_runqemu("cloud", "--count", "2") for _ in range(3)]
        for number, (guest, lease, _, qemu) in enumerate(running):
            self.assert_first(lease, qemu, number)
            guest.wait_for("^GUEST-WAITING")
            self.assert_pinged(*[tap["client"] for tap in lease["taps"]])
        figures = []
        for level, (guest, lease, runqemu, qemu) in zip(("QEMU", "runqemu", "the client"), running):
            pids = {"QEMU": qemu, "runqemu": runqemu, "the client": guest.popen.pid}
            watched = {name: os.pidfd_open(pid) for name, pid in pids.items()}
            start = time.monotonic()
            os.kill(pids[level], signal.SIGKILL)
            self.assert_ends("QEMU", watched, level, HANGS)
            kernel.wait_for(kernel.absent(*[tap["name"] for tap in lease["taps"]]),
                            f"the devices are gone after {level} was killed")
            figures.append(f"{level} killed: no device and no QEMU after {1000 * (time.monotonic() - start):.0f} ms")
            for name in ("runqemu", "the client"):
                self.assert_ends(name, watched, level, HANDLER_WAITS + HANGS)
        self.shows = "figure: " + "; ".join(figures)
        self.assertEqual(self.leases(), [])
        self.host.no_trace()

    def test_interrupted_by_terminal(self):
        """SIGINT to all three programs, as ^C sends it, ends them, and nothing is left."""
        guest, _, runqemu, qemu = self.start_runqemu("cloud")
        for pid in (qemu, runqemu, guest.popen.pid):
            os.kill(pid, signal.SIGINT)
        guest.end()
        until(lambda: not kernel.ours(), "the lease ends")
        self.host.no_trace()
