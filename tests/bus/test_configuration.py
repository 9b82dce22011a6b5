# SPDX-License-Identifier: MIT
"""The daemon's options, on the command line and in the file. A good option shows in what is granted; a bad one ends the
daemon with 2 and an error that names the option, before it owns its name or makes a device."""

import os

from tests.bus.ring import BusRing
from tests.lib import furnish, kernel
from tests.lib.host import DAEMON_NAME

CONFIGURATION = "/etc/qemu-tapd.conf"


class Configuration(BusRing):
    options = None

    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove)

    @staticmethod
    def remove():
        """Removes what a test put in the configuration file's place."""
        if os.path.isdir(CONFIGURATION) and not os.path.islink(CONFIGURATION):
            os.rmdir(CONFIGURATION)
        elif os.path.lexists(CONFIGURATION):
            os.unlink(CONFIGURATION)

    def write(self, *lines, path=CONFIGURATION):
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        return path

    def refused(self, *options, words):
        """Expects that the daemon ends with status 2 and an error, never owns its name and makes no device."""
        self.assert_ended(self.host.failing_daemon(*options), words)

    def assert_ended(self, done, words):
        self.assertEqual((done.status, done.out), (2, ""), done)
        for word in words:
            self.assertIn(word, done.err)
        with self.host.connect() as bus:
            self.assertIsNone(bus.owner_of(DAEMON_NAME))
        self.host.no_trace()


class Bad(Configuration):
    # The bad options, and the words that the error must hold.
    CASES = (
        (("--prefix-length", "0"), ("prefix-length", "0")),
        (("--prefix-length", "31"), ("prefix-length", "31")),
        (("--prefix-length", "32"), ("prefix-length", "32")),
        (("--prefix-length", "33"), ("prefix-length", "33")),
        (("--prefix-length", "-1"), ("prefix-length",)),
        (("--prefix-length", "wide"), ("prefix-length",)),
        (("--prefix-length", "12"), ("prefix-length", "12", "192.168.0.0/16")),
        (("--pool", "192.168.0.0/24"), ("pool", "192.168.0.0/24")),
        (("--pool", "192.168.0.0/21"), ("pool", "192.168.0.0/21")),
        (("--pool", "192.168.0.0/30", "--prefix-length", "30", "--first-index", "0"), ("pool", "192.168.0.0/30")),
        (("--pool", "192.168.0.0"), ("pool",)),
        (("--pool", "192.168.0.0/33"), ("pool",)),
        (("--pool", "192.168.300.0/16"), ("pool",)),
        (("--pool", "everything"), ("pool", "everything")),
        (("--pool", ""), ("pool",)),
        (("--first-index", "255"), ("first-index", "255")),
        (("--first-index", "-1"), ("first-index",)),
        (("--device-prefix", ""), ("device-prefix",)),
        (("--device-prefix", "a/b"), ("device-prefix", "a/b")),
        (("--device-prefix", "tap%d"), ("device-prefix",)),
        (("--device-prefix", "averylongprefix"), ("device-prefix", "averylongprefix")),
        (("--exclude", "home"), ("exclude", "home")),
        (("--exclude", "192.168.8.0/24", "--exclude", "10.0.0.0/99"), ("exclude", "10.0.0.0/99")),
        (("--max-taps", "many"), ("max-taps",)),
        (("--max-taps-per-user", "-3"), ("max-taps-per-user",)),
        (("--log-level", "shouting"), ("log-level", "shouting")),
        (("--bogus",), ("--bogus",)),
        (("stray",), ("stray",)),
    )

    def test_options(self):
        """Prefix lengths 0, 31, 32, a pool too small and every other bad option give status 2 and name the option."""
        for options, words in self.CASES:
            with self.subTest(options=options):
                self.refused(*options, words=words)

    def test_default_file(self):
        """Bad lines in /etc/qemu-tapd.conf give status 2 too; unknown keys are errors."""
        for lines, words in ((("colour = red",), ("colour",)), (("prefix-length = 31",), ("prefix-length", "31")),
                             (("prefix-length = 0",), ("prefix-length", "0")),
                             (("prefix-length = 32",), ("prefix-length", "32")),
                             (("pool = 192.168.0.0/24",), ("pool", "192.168.0.0/24")),
                             (("first-index = 8", "Pool = 10.0.0.0/8"), ("Pool",)),
                             (("max-taps = plenty",), ("max-taps",))):
            with self.subTest(lines=lines):
                self.write(*lines)
                self.refused(words=words)

    def test_named_file(self):
        """--config with a bad file or with a file that does not exist is refused."""
        path = self.write("no-such-key = 1", path=f"{furnish.RIG}/other.conf")
        self.refused("--config", path, words=("no-such-key",))
        self.refused("--config", "/no/such/file.conf", words=("/no/such/file.conf",))

    def test_no_file_to_read(self):
        """A directory or a link to itself at /etc/qemu-tapd.conf is refused by its path, not ignored."""
        for name, place in (("directory", lambda: os.mkdir(CONFIGURATION)),
                            ("link to itself", lambda: os.symlink(CONFIGURATION, CONFIGURATION))):
            with self.subTest(name=name):
                self.remove()
                place()
                self.refused(words=(CONFIGURATION,))

    def test_closed_file(self):
        """A file that the daemon may not read is refused: its unit leaves it no capability but CAP_NET_ADMIN."""
        os.chmod(self.write("pool = 10.99.0.0/16"), 0o600)
        os.chown(CONFIGURATION, 64101, 64101)
        confine = ("setpriv", "--bounding-set=-all,+net_admin", "--inh-caps=-all")
        self.assert_ended(self.host.run("root", *confine, *self.host.daemon_command(), timeout=10), (CONFIGURATION,))

    def test_root_only(self):
        """The daemon started by an ordinary user ends with an error."""
        done = self.host.run("alice", *self.host.daemon_command())
        self.assertNotEqual(done.status, 0)
        self.assertNotEqual(done.err, "")


class Good(Configuration):
    def test_prefix_length_30(self):
        """In a pool of /30 subnets the gateway, guest address, netmask and MAC follow from the subnet's number."""
        self.host.start_daemon("--prefix-length", "30")
        grant = self.up("alice", "--count", "2")
        self.assert_grant(grant, "alice", [7, 8], length=30)
        self.assertEqual(grant["taps"][0]["gateway"], "192.168.0.29")
        self.assertEqual(grant["kernel_cmdline"],
                         "ip=192.168.0.34:::255.255.255.252::eth1:off "
                         "ip=192.168.0.30::192.168.0.29:255.255.255.252::eth0:off net.ifnames=0")

    def test_indexes_beyond_255(self):
        """Indexes above 255 fill two bytes of the MAC."""
        self.host.start_daemon("--prefix-length", "28", "--first-index", "1023")
        grant = self.up("alice", "--count", "2")
        self.assert_grant(grant, "alice", [1023, 1024], length=28)
        self.assertEqual([tap["mac"][12:] for tap in grant["taps"]], ["03:ff", "04:00"])

    def test_last_subnet(self):
        """The last subnet of the pool is never given: in a /16 with /24 subnets index 254 is the last."""
        self.host.start_daemon("--first-index", "253")
        self.assert_grant(self.up("alice", "--count", "2"), "alice", [253, 254])
        self.assert_refused(self.ctl("alice", "up"), 7, "192.168.0.0/16")

    def test_device_prefix(self):
        """With another device name prefix every device has it, and `down` accepts the devices' names."""
        self.host.start_daemon("--device-prefix", "vm")
        grant = self.up("alice", "--count", "2")
        self.assert_grant(grant, "alice", [8, 9], prefix="vm")
        self.ok("alice", "down", "vm9")
        self.host.no_trace()

    def test_file(self):
        """/etc/qemu-tapd.conf is read by default, and each key works as the option of its name."""
        self.write("# our lab", "pool = 10.42.0.0/16", "first-index = 20", "device-prefix = lab",
                   "exclude = 10.42.21.0/24", "max-taps-per-user = 2", "prefix-length = 24",
                   "max-taps = 9", "log-level = warning")
        self.host.start_daemon()
        taps = self.up("alice", "--count", "2")["taps"]
        self.assertEqual([(tap["name"], tap["gateway"]) for tap in taps],
                         [("lab20", "10.42.20.1"), ("lab22", "10.42.22.1")])
        self.assert_refused(self.ctl("alice", "up"), 6, "2")

    def test_command_line_wins(self):
        """Options on the command line win over the file; --config names another file."""
        self.write("first-index = 20", "device-prefix = lab")
        self.host.start_daemon("--first-index", "30")
        self.assertEqual([tap["name"] for tap in self.up("alice")["taps"]], ["lab30"])
        self.ok("alice", "down", "--all")
        path = self.write("first-index = 40", path=f"{furnish.RIG}/other.conf")
        self.host.restart_daemon("--config", path)
        self.assertEqual([tap["name"] for tap in self.up("alice")["taps"]], ["tap40"])

    def test_several_exclusions_in_the_file(self):
        """A file can exclude several prefixes, which replace the default ones."""
        self.write("exclude = 192.168.8.0/24", "exclude = 192.168.10.0/24")
        self.host.start_daemon()
        self.assertEqual([tap["index"] for tap in self.up("alice", "--count", "3")["taps"]], [7, 9, 11])

    def test_leases_of_other_settings(self):
        """Leases given under other settings stay listed, are not collided with, and can be released (I1, I2)."""
        self.host.start_daemon()
        before = self.up("alice", "--count", "2")
        self.host.restart_daemon("--device-prefix", "vm", "--prefix-length", "23", "--first-index", "3")
        self.assertEqual(self.leases("alice"), [before])
        # Subnet 3 (192.168.6.0/23) overlaps runqemu's network, and 4 (192.168.8.0/23) those of tap8 and tap9.
        self.assertEqual([tap["gateway"] for tap in self.up("bob")["taps"]], ["192.168.10.1"])
        self.ok("alice", "down", before["lease"])
        self.assertEqual(list(kernel.ours()), ["vm5"])

    def test_version(self):
        """--version prints one line and starts nothing."""
        done = self.host.failing_daemon("--version")
        self.assertEqual((done.status, done.err), (0, ""))
        self.assertRegex(done.out, r"\Aqemu-tapd [0-9]+\.[0-9.]+\n\Z")
