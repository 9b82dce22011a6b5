# SPDX-License-Identifier: MIT
"""vhost is used if the daemon can open /dev/vhost-net, is left out or an error if it cannot, and is on the command line
only with a descriptor. Where the kernel has no vhost-net a stand-in device takes its place, because the daemon only
opens the device and passes it on. The guest ring has the tests that use it."""

import ctypes
import os
import select

from tests.bus.ring import ADDED, MANAGER, BusRing, device_arguments, error_name
from tests.lib import kernel, users
from tests.lib.bus import BusError, Variant

VHOST = "/dev/vhost-net"
CHECK = "org.freedesktop.PolicyKit1.Authority.CheckAuthorization"
AUTHORITY = "type='method_call',interface='org.freedesktop.PolicyKit1.Authority'"
ACQUIRE, ACTION = "org.qemutap.acquire", "org.qemutap.vhost"


def place_vhost():
    """Makes the kernel's own vhost-net device if there is one, else a copy of /dev/null, which opens as well."""
    with open("/proc/misc", encoding="ascii") as file:
        numbers = {name: int(number) for number, name in (line.split() for line in file)}
    device = (10, numbers["vhost-net"]) if "vhost-net" in numbers else (1, 3)
    os.mknod(VHOST, 0o020600, os.makedev(*device))
    # As the udev rules set it.
    os.chown(VHOST, 0, users.KVM_ID)
    os.chmod(VHOST, 0o660)
    return list(device)


class VhostRing(BusRing):
    """alice may have vhost, bob may not; both may have taps."""

    def setUp(self):
        super().setUp()
        users.set_vhost_members("alice")
        self.addCleanup(lambda: os.path.exists(VHOST) and os.unlink(VHOST))


class Vhost(VhostRing):
    def test_auto_without_device(self):
        """`--vhost auto` without /dev/vhost-net works without vhost."""
        for choice in ("auto", "no"):
            with self.subTest(choice=choice):
                holder = self.run_stand_in("alice", "--vhost", choice, "--label", choice)
                lease = next(lease for lease in self.leases("alice") if lease["label"] == choice)
                self.assertEqual([tap["vhost"] for tap in lease["taps"]], [False])
                self.assertEqual(len(holder.open), 1)
                self.assertNotIn("vhost", " ".join(holder.argv))

    def test_yes_without_device(self):
        """`--vhost yes` without /dev/vhost-net gives status 10, names the device, and leaves nothing."""
        self.assert_refused(self.ctl("alice", "run", "--count", "2", "--vhost", "yes", "--", "true"), 10, VHOST)
        self.host.no_trace()

    def test_placeholder(self):
        """{vhostfdsI} are the vhost descriptors of tap I."""
        device = place_vhost()
        holder = self.run_stand_in("alice", "--queues", "2", "--vhost", "yes", command=["{fds0}", "{vhostfds0}"])
        queues, vhost = ([int(number) for number in word.split(":")] for word in holder.argv)
        self.assertEqual([holder.open[number]["tap"]["name"] for number in queues], ["tap8"] * 2)
        self.assertEqual([holder.open[number]["device"] for number in vhost], [device] * 2)
        self.assertEqual(len(holder.open), 4)

    def test_with_device(self):
        """With /dev/vhost-net `yes` and `auto` give one of its descriptors per queue, named by vhostfds=."""
        device = place_vhost()
        for choice, count, queues in (("yes", 2, 1), ("auto", 2, 2)):
            with self.subTest(choice=choice):
                holder = self.run_stand_in("alice", "--count", str(count), "--queues", str(queues), "--vhost", choice,
                                           "--label", choice)
                lease = next(lease for lease in self.leases("alice") if lease["label"] == choice)
                self.assertEqual([tap["vhost"] for tap in lease["taps"]], [True] * count)
                words, seen = [], []
                for number, tap in enumerate(lease["taps"]):
                    self.assertEqual(kernel.alias_words(tap["name"])["vhost"], "1")
                    option = holder.argv[holder.argv.index("-netdev", 4 * number) + 1]
                    vhost = [int(fd) for fd in option.rpartition("vhostfds=")[2].split(":")]
                    self.assertEqual([holder.open[fd]["device"] for fd in vhost], [device] * queues)
                    self.assertEqual([holder.open[fd]["tap"]["name"] for fd in holder.fds(number)],
                                     [tap["name"]] * queues)
                    seen += vhost + holder.fds(number)
                    words += ["-netdev", f"tap,id={ADDED}{number},fds={':'.join(map(str, holder.fds(number)))},vhost=on,"
                              f"vhostfds={':'.join(map(str, vhost))}", *device_arguments(number, tap, netdev=ADDED)]
                self.assertEqual(holder.argv, words)
                self.assertEqual(sorted(seen), sorted(holder.open))

    def test_no_with_device(self):
        """`--vhost no`, and no --vhost at all, do not use an existing /dev/vhost-net."""
        place_vhost()
        for options in (("--vhost", "no"), ()):
            with self.subTest(options=options):
                holder = self.run_stand_in("alice", *options)
                self.assertEqual(len(holder.open), 1)
                self.assertNotIn("vhost", " ".join(holder.argv))

    def test_descriptor_limit(self):
        """vhost doubles the descriptors: 8 taps need 16; 9 need 18 and are refused with status 2 (I8)."""
        place_vhost()
        self.assert_refused(self.ctl("alice", "run", "--count", "9", "--vhost", "yes", "--", "true"), 2)
        self.host.no_trace()
        self.assertEqual(len(self.run_stand_in("alice", "--count", "8", "--vhost", "yes").open), 16)

    def test_after_restart(self):
        """The kernel stores with the lease that a tap has vhost: a restarted daemon lists it unchanged (I1)."""
        place_vhost()
        holder = self.run_stand_in("alice", "--vhost", "yes")
        before = self.ok("alice", "list", "--json")
        self.host.daemon.kill()
        os.unlink(VHOST)
        self.host.restart_daemon()
        self.assertEqual(self.ok("alice", "list", "--json"), before)
        holder.kill()
        kernel.wait_for(kernel.absent("tap8"), "the lease ends with its descriptors")
        self.host.no_trace()


class Action(VhostRing):
    """vhost has a polkit action of its own beside that of taps."""

    extra_rules = """polkit.addRule(function(action, subject) {
        if (action.id == "org.qemutap.acquire" && subject.user == "carol")
            return action.lookup("label") == "ci" && action.lookup("queues") == "2" && action.lookup("hold") == "fd" &&
                   action.lookup("vhost") == "auto" && Number(action.lookup("count")) <= 2 ?
                   polkit.Result.YES : polkit.Result.NO;
        if (action.id == "org.qemutap.vhost" && subject.user == "carol")
            return action.lookup("count") == "1" ? polkit.Result.YES : polkit.Result.NO;
    });"""

    def acquire(self, user, count=1, **options):
        """Acquires a lease; returns for each tap whether it has vhost."""
        with self.host.connect(user) as bus:
            _, taps, _ = self.call(bus, "Acquire", "ua{sv}", count,
                                   {key: Variant({str: "s", int: "u", bool: "b"}[type(value)], value)
                                    for key, value in options.items()})
        return [tap["vhost"] for tap in taps]

    def questions(self, act):
        """polkit's questions while `act` ran: the action, its details, and whether it may ask for a password."""
        return [(message.body[1], message.body[2], bool(message.body[3])) for message in self.heard(act, AUTHORITY)
                if message.member == CHECK]

    def test_refused(self):
        """`yes` of a user outside the group kvm is refused with status 4; the error names action and group."""
        place_vhost()
        done = self.ctl("bob", "run", "--vhost", "yes", "--", "true")
        self.assert_refused(done, 4, ACTION, "members of the group kvm", "vhost 'auto'")
        self.host.no_trace()

    def test_auto(self):
        """`auto` of a user outside the group kvm gives a lease without vhost, an error or a prompt."""
        place_vhost()
        holder = self.run_stand_in("bob", "--vhost", "auto")
        self.assertEqual(len(holder.open), 1)
        self.assertNotIn("vhost", " ".join(holder.argv))
        self.assertEqual([lease["taps"][0]["vhost"] for lease in self.leases("bob")], [False])

    def test_joins(self):
        """Membership of kvm takes effect with the next request."""
        place_vhost()
        self.assertEqual(self.acquire("bob", vhost="auto"), [False])
        users.set_vhost_members("bob")
        self.assertEqual(self.acquire("bob", vhost="auto"), [True])
        self.assertEqual(self.acquire("alice", vhost="auto"), [False])

    def test_needs_both(self):
        """The right to vhost does not include the right to taps."""
        place_vhost()
        users.set_vhost_members("dave")
        self.assert_refused(self.ctl("dave", "run", "--vhost", "yes", "--", "true"), 4, ACQUIRE)
        self.host.no_trace()

    def test_questions(self):
        """The service asks polkit for taps first and then for vhost, with the request's details.
        Only for `yes` may polkit prompt the user."""
        place_vhost()
        for choice in ("yes", "auto"):
            for interactive in (True, False):
                with self.subTest(choice=choice, interactive=interactive):
                    details = {"count": "2", "hold": "fd", "queues": "2", "vhost": choice, "label": "web"}
                    asked = self.questions(lambda choice=choice, interactive=interactive: self.acquire(
                        "alice", 2, vhost=choice, queues=2, label="web", interactive=interactive))
                    self.assertEqual(asked, [(ACQUIRE, details, interactive),
                                             (ACTION, details, interactive and choice == "yes")])

    def test_not_asked(self):
        """polkit is not asked about vhost that is not requested, would not fit or does not exist, nor about root."""
        details = {"count": "1", "hold": "fd", "queues": "1", "vhost": "auto"}
        self.assertEqual(self.questions(lambda: self.acquire("alice", vhost="auto")), [(ACQUIRE, details, False)])

        def without_device():
            with self.assertRaises(BusError) as caught:
                self.acquire("alice", vhost="yes")
            self.assertEqual(caught.exception.name, error_name("VhostUnavailable"))
            self.assertIn(VHOST, caught.exception.text)
        self.assertEqual(len(self.questions(without_device)), 1)
        place_vhost()
        self.assertEqual(len(self.questions(lambda: self.acquire("alice"))), 1)
        self.assertEqual(len(self.questions(lambda: self.acquire("alice", vhost="auto", queues=16))), 1)
        self.assertEqual(len(self.questions(lambda: self.acquire("alice", vhost="auto", hold="name"))), 1)
        self.assertEqual(self.questions(lambda: self.acquire("root", vhost="yes")), [])

    def test_rule_looks_at_the_request(self):
        """An administrator's rule can decide by count, hold, queues, vhost and label."""
        place_vhost()
        users.set_members("alice", "bob")
        self.assertEqual(self.acquire("carol", 1, label="ci", queues=2, vhost="auto"), [True])
        self.assertEqual(self.acquire("carol", 2, label="ci", queues=2, vhost="auto"), [False, False])
        for count, options in ((3, {"label": "ci"}), (1, {}), (1, {"label": "ci", "vhost": "no"}),
                               (1, {"label": "ci", "queues": 1}), (1, {"label": "ci", "hold": "name"})):
            with self.subTest(count=count, **options), self.assertRaises(BusError) as caught:
                self.acquire("carol", count, **{"queues": 2, "vhost": "auto", **options})
            self.assertEqual(caught.exception.name, error_name("NotAuthorized"))

    def test_no_polkit(self):
        """Without polkit a request for vhost fails with status 5, and nothing is made."""
        place_vhost()
        self.host.stop_polkit()
        self.assert_refused(self.ctl("alice", "run", "--vhost", "yes", "--", "true"), 5, "polkit")
        self.host.no_trace()


class Features(VhostRing):
    def test_opens_nothing(self):
        """Features and a refused request do not open the vhost device, because that would load a kernel module."""
        self.assertNotIn("vhost", self.features())
        place_vhost()
        with OpenWatch(VHOST) as watch:
            for _ in range(3):
                self.assertIn("vhost", self.features())
            for choice in ("yes", "auto", "no"):
                self.ctl("bob", "run", "--vhost", choice, "--", "true")
            self.assertEqual(watch.opens(), 0)
            self.assertEqual(self.ctl("alice", "run", "--vhost", "yes", "--", "true").status, 0)
            self.assertEqual(watch.opens(), 1)

    def test_no_device(self):
        """A plain file at /dev/vhost-net does not count as vhost."""
        with open(VHOST, "wb"):
            pass
        self.assertNotIn("vhost", self.features())
        self.assert_refused(self.ctl("alice", "run", "--vhost", "yes", "--", "true"), 10, VHOST)

    def features(self):
        with self.host.connect("dave") as bus:
            (value,) = bus.call(*MANAGER[:2], "org.freedesktop.DBus.Properties.Get", "ss", MANAGER[2], "Features")
        return value


class OpenWatch:
    """Counts how often a file is opened, by any process (inotify(7))."""

    OPENED = 0x20

    def __init__(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        self.number = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if libc.inotify_add_watch(self.number, path.encode(), self.OPENED) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.number)

    def opens(self):
        """Opens since the last call. The kernel merges unread events, so this distinguishes only none and some."""
        return len(os.read(self.number, 4096)) // 16 if select.select([self.number], [], [], 0)[0] else 0
