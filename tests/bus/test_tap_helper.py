# SPDX-License-Identifier: MIT
"""qemu-tap-helper, called as `helper=` by a real QEMU, and by a stand-in that behaves as QEMU never would. A refusal
must reach QEMU's user, and with status 0 QEMU takes any descriptor that it was sent for the tap."""

import array
import json
import os
import select
import socket
import subprocess

from tests.bus.ring import MANAGER, TAP_FLAGS, BusRing
from tests.bus.stand_in import tap_of
from tests.lib import kernel
from tests.lib.process import HANGS

QEMU = "qemu-system-x86_64"
# A minimal QEMU without guest and board; its greeting on QMP shows that it has accepted its command line.
BARE = ("-machine", "none", "-nodefaults", "-no-user-config", "-display", "none", "-S", "-qmp", "stdio")
AUTHORITY = "type='method_call',interface='org.freedesktop.PolicyKit1.Authority'"
ACQUIRE = f"type='method_call',interface='{MANAGER[2]}'"


class Qemu:
    """A running QEMU that is controlled by QMP."""

    def __init__(self, popen):
        self.popen = popen
        self.greeting = self.line()

    def line(self, limit=HANGS):
        ready, _, _ = select.select([self.popen.stdout], [], [], limit)
        if not ready:
            raise AssertionError(f"QEMU wrote no line within {limit} s")
        line = self.popen.stdout.readline()
        return json.loads(line) if line else None

    def execute(self, command, **arguments):
        self.popen.stdin.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        self.popen.stdin.flush()
        while True:
            answer = self.line()
            if "event" not in answer:
                return answer

    def refused(self):
        """The status and stderr of a QEMU that has ended by itself."""
        _, errors = self.popen.communicate()
        return self.popen.returncode, errors.decode()


class HelperRing(BusRing):
    def setUp(self):
        super().setUp()
        self.helper = self.host.share(f"{self.host.build}/client/programs/tap_helper/qemu-tap-helper")

    def qemu(self, user, *words, machine=BARE):
        popen = self.host.start(user, QEMU, *machine, *words, stdin=subprocess.PIPE)
        self.addCleanup(self._end, popen)
        return Qemu(popen)

    def running(self, user, *words, **settings):
        qemu = self.qemu(user, *words, **settings)
        self.assertIsNotNone(qemu.greeting, "QEMU did not start")
        return qemu

    def assert_end_leaves_nothing(self, *qemus):
        for qemu in qemus:
            qemu.popen.kill()
        kernel.wait_for(lambda: not kernel.ours(), "the taps end with their QEMU")
        self.host.no_trace()

    def index_of(self, label):
        """The index that a label leads to, for both holds."""
        grant = self.up("alice", "--label", label)
        self.ok("alice", "down", grant["lease"])
        return grant["taps"][0]["index"]


class Forms(HelperRing):
    def assert_one_tap(self, qemu, label, index):
        (lease,) = self.leases("alice")
        self.assert_grant(lease, "alice", [index], label=label, hold="fd")
        self.assert_end_leaves_nothing(qemu)

    def test_netdev_tap(self):
        """With `-netdev tap,helper=` QEMU has a lease of one tap without a label, and leaves nothing when it ends."""
        self.assert_one_tap(self.running("alice", "-netdev", f"tap,id=n,helper={self.helper}"), "", 8)

    def test_netdev_tap_label(self):
        """With `-netdev tap,br=web,helper=` the bridge name is the label."""
        index = self.index_of("web")
        self.assert_one_tap(self.running("alice", "-netdev", f"tap,id=n,br=web,helper={self.helper}"), "web", index)

    def test_netdev_bridge(self):
        """With `-netdev bridge,br=web,helper=` the label leads to the same index as with `up`."""
        index = self.index_of("web")
        self.assertNotEqual(index, 8)
        self.assert_one_tap(self.running("alice", "-netdev", f"bridge,id=n,br=web,helper={self.helper}"), "web", index)

    def test_nic_bridge(self):
        """With `-nic bridge,br=web,helper=`, netdev and NIC in one option, the label works too."""
        index = self.index_of("web")
        machine = ("-machine", "pc,accel=tcg", *BARE[2:])
        words = f"bridge,br=web,model=virtio-net-pci,helper={self.helper}"
        self.assert_one_tap(self.running("alice", "-nic", words, machine=machine), "web", index)

    def test_command(self):
        """A helper= with arguments, which QEMU runs by a shell, takes the label from its own --br=."""
        index = self.index_of("web")
        self.assert_one_tap(self.running("alice", "-netdev", f"tap,id=n,helper={self.helper} --br=web"), "web", index)

    def test_long_label(self):
        """A label can be longer than a bridge's name."""
        label = 63 * "x"
        index = self.index_of(label)
        self.assert_one_tap(self.running("alice", "-netdev", f"bridge,id=n,br={label},helper={self.helper}"), label,
                            index)

    def test_several(self):
        """Each -netdev has a lease of its own, even with one label for all, and QEMU's end ends all of them."""
        words = []
        for number in range(3):
            words += ["-netdev", f"bridge,id=n{number},br=web,helper={self.helper}"]
        qemu = self.running("alice", *words)
        leases = self.leases("alice")
        self.assertEqual([lease["label"] for lease in leases], 3 * ["web"])
        self.assertEqual(len({lease["taps"][0]["index"] for lease in leases}), 3)
        self.assert_end_leaves_nothing(qemu)

    def test_eight_at_once(self):
        """Eight QEMUs that start at the same time without a label get eight different taps."""
        popens = [self.host.start("alice", QEMU, *BARE, "-netdev", f"bridge,id=n,helper={self.helper}",
                                  stdin=subprocess.PIPE) for _ in range(8)]
        for popen in popens:
            self.addCleanup(self._end, popen)
        qemus = [Qemu(popen) for popen in popens]
        self.assertNotIn(None, [qemu.greeting for qemu in qemus])
        leases = self.leases("alice")
        self.assertEqual([(lease["label"], len(lease["taps"])) for lease in leases], 8 * [("", 1)])
        self.assertEqual([lease["taps"][0]["index"] for lease in leases], list(range(8, 16)))
        self.assert_end_leaves_nothing(*qemus)

    def test_hot_plug(self):
        """A running QEMU gets a tap by `netdev_add`, and `netdev_del` ends its lease."""
        qemu = self.running("alice")
        self.assertEqual(qemu.execute("qmp_capabilities"), {"return": {}})
        added = qemu.execute("netdev_add", type="bridge", id="n", br="web", helper=self.helper)
        self.assertEqual(added, {"return": {}})
        (lease,) = self.leases("alice")
        self.assertEqual((lease["label"], lease["hold"]), ("web", "fd"))
        self.assertEqual(qemu.execute("netdev_del", id="n"), {"return": {}})
        kernel.wait_for(lambda: not kernel.ours(), "the lease ends with the netdev")
        self.host.no_trace()


class Refused(HelperRing):
    def assert_refused_by_qemu(self, user, words, *parts):
        """Expects that QEMU does not start, and that one line of the helper says why."""
        qemu = self.qemu(user, "-netdev", f"{words},id=n,helper={self.helper}")
        self.assertIsNone(qemu.greeting)
        status, errors = qemu.refused()
        self.assertEqual(status, 1, errors)
        (line,) = [line for line in errors.splitlines() if line.startswith("qemu-tap-helper: ")]
        for part in parts:
            self.assertIn(part, line)
        self.assertIn("bridge helper failed", errors)
        self.assertEqual(len(errors.splitlines()), 2, errors)
        self.host.no_trace()

    def test_polkit(self):
        """If polkit refuses, QEMU's user reads the action and the group."""
        self.assert_refused_by_qemu("dave", "bridge", "org.qemutap.acquire", "qemu-tap")

    def test_no_daemon(self):
        """If the service is not running, QEMU's user reads that and the remedy."""
        self.host.stop_daemon()
        self.assert_refused_by_qemu("alice", "tap", "qemu-tapd is not running", "systemctl start qemu-tapd")

    def test_limit(self):
        """At the user's limit QEMU's user reads the limit; the other leases stay."""
        grant = self.up("alice", "--count", "32")
        self.host.mark()
        qemu = self.qemu("alice", "-netdev", f"bridge,id=n,helper={self.helper}")
        status, errors = qemu.refused()
        self.assertEqual((qemu.greeting, status), (None, 1))
        self.assertIn("holds 32 taps and may hold 32", errors)
        self.assertEqual(self.leases("alice"), [grant])

    def test_options(self):
        """A request for more than one descriptor is refused with a hint to qemu-tapctl run."""
        self.assert_refused_by_qemu("alice", "bridge,br=web,,queues=2", "one tap with one queue", "qemu-tapctl run")

    def test_hot_plug(self):
        """A running QEMU that is refused a tap runs on and has no more descriptors than before."""
        qemu = self.running("dave")
        self.assertEqual(qemu.execute("qmp_capabilities"), {"return": {}})
        before = sorted(os.listdir(f"/proc/{qemu.popen.pid}/fd"))
        answer = qemu.execute("netdev_add", type="bridge", id="n", helper=self.helper)
        self.assertIn("bridge helper failed", answer["error"]["desc"])
        self.assertEqual(sorted(os.listdir(f"/proc/{qemu.popen.pid}/fd")), before)
        self.assertIsNone(qemu.popen.poll())
        self.host.no_trace()


class Caller(HelperRing):
    """The test's own process plays QEMU."""

    def setUp(self):
        super().setUp()
        self.ours, self.its = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.its.close)

    def start(self, user, *words):
        popen = self.host.start(user, self.helper, *words, f"--fd={self.its.fileno()}", pass_fds=[self.its.fileno()])
        self.addCleanup(self._end, popen)
        self.its.close()
        return popen

    def outcome(self, popen):
        out, err = popen.communicate()
        return popen.returncode, out.decode(), err.decode()

    def assert_complains(self, outcome, status, *parts):
        self.assertEqual(outcome[:2], (status, ""), outcome)
        self.assertRegex(outcome[2], r"\Aqemu-tap-helper: [^\n]+\n\Z")
        for part in parts:
            self.assertIn(part, outcome[2])

    def taken(self):
        """Receives the descriptor; expects that it comes alone, with one byte, before the end of the stream."""
        data, ancillary, _, _ = self.ours.recvmsg(16, socket.CMSG_SPACE(64))
        self.assertEqual(len(data), 1)
        ((level, kind, numbers),) = ancillary
        self.assertEqual((level, kind), (socket.SOL_SOCKET, socket.SCM_RIGHTS))
        (descriptor,) = array.array("i", numbers)
        self.assertEqual(self.ours.recv(16), b"")
        return descriptor

    def test_handed_over(self):
        """The helper sends one byte and one descriptor, prints nothing and ends with status 0.
        With and without --use-vnet the tap has virtio headers."""
        for words in (("--use-vnet", "--br=br0"), ("--br=br0",)):
            with self.subTest(words=words):
                self.its.close()
                self.ours.close()
                self.ours, self.its = socket.socketpair()
                popen = self.start("alice", *words)
                descriptor = self.taken()
                self.assertEqual(self.outcome(popen), (0, "", ""))
                tap = tap_of(descriptor)
                self.assertEqual((tap["name"], tap["flags"] & TAP_FLAGS), ("tap8", TAP_FLAGS))
                os.close(descriptor)
                kernel.wait_for(lambda: not kernel.ours(), "the lease ends with its descriptor")
                self.host.no_trace()

    def test_gone_before(self):
        """If the caller is gone when the tap is ready, the status is 1, the error says why, and the lease ends."""
        popen = self.host.start("alice", self.helper, f"--fd={self.its.fileno()}", pass_fds=[self.its.fileno()])
        self.addCleanup(self._end, popen)
        self.its.close()
        self.ours.close()
        self.assert_complains(self.outcome(popen), 1, "tap8", "Broken pipe")
        kernel.wait_for(lambda: not kernel.ours(), "the lease ends with the helper")
        self.host.no_trace()

    def test_gone_meanwhile(self):
        """If the caller leaves while polkit decides, the status is 1, the error says why, and the lease ends."""
        with self.host.connect() as ear:
            ear.watch(AUTHORITY)
            self.host.polkit.freeze()
            popen = self.start("alice", "--br=web")
            ear.next(lambda message: message.member.endswith(".CheckAuthorization"))
            self.ours.close()
            self.host.polkit.thaw()
        self.assert_complains(self.outcome(popen), 1, "Broken pipe")
        kernel.wait_for(lambda: not kernel.ours(), "the lease ends with the helper")
        self.host.no_trace()

    def test_never_taken(self):
        """A descriptor that the caller never receives ends with the socket, and so does the lease."""
        popen = self.start("alice", "--br=web")
        self.assertEqual(self.outcome(popen), (0, "", ""))
        self.assertEqual(len(self.leases("alice")), 1)
        self.ours.close()
        kernel.wait_for(lambda: not kernel.ours(), "the lease ends with the socket")
        self.host.no_trace()

    def test_killed(self):
        """A helper that is killed while polkit decides leaves nothing, and its caller sees the end of the stream."""
        with self.host.connect() as ear:
            ear.watch(AUTHORITY)
            self.host.polkit.freeze()
            popen = self.start("alice")
            ear.next(lambda message: message.member.endswith(".CheckAuthorization"))
            popen.kill()
            self.host.polkit.thaw()
        self.assertEqual(self.ours.recv(16), b"")
        # The daemon answers in order: after this answer it has handled the call.
        self.leases("root", "--all")
        kernel.wait_for(lambda: not kernel.ours(), "the lease ends with the helper")
        self.host.no_trace()

    def test_no_socket(self):
        """--fd= that is closed, a file, a pipe, not a Unix socket or not connected gives status 2 without a request."""
        with open("/dev/null", "rb") as file, socket.socket() as inet, socket.socket(socket.AF_UNIX) as alone:
            reader, writer = os.pipe()
            self.addCleanup(os.close, reader)
            self.addCleanup(os.close, writer)

            def act():
                for number in (file.fileno(), inet.fileno(), alone.fileno(), reader, 900):
                    with self.subTest(what=number):
                        done = self.host.run("alice", self.helper, "--use-vnet", f"--fd={number}", "--br=web",
                                             pass_fds=[number] if number != 900 else [])
                        self.assert_complains((done.status, done.out, done.err), 2, f"--fd={number}", "Unix socket")
            self.assertEqual(self.heard(act, ACQUIRE), [])
        self.host.no_trace()

    def test_never_asks_for_a_password(self):
        """The helper asks polkit once, without interaction."""
        def act():
            self.assert_complains(self.outcome(self.start("dave")), 4, "org.qemutap.acquire")
        (question,) = self.heard(act, AUTHORITY)
        self.assertEqual(question.body[3] & 1, 0)

    def test_statuses(self):
        """The exit statuses are those of qemu-tapctl."""
        self.assert_complains(self.outcome(self.start("dave")), 4)
        self.ours.close()
        self.ours, self.its = socket.socketpair()
        self.host.stop_daemon()
        self.assert_complains(self.outcome(self.start("alice")), 3)
        done = self.host.run("alice", self.helper)
        self.assert_complains((done.status, done.out, done.err), 2, "--fd")
