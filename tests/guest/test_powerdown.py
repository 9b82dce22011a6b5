# SPDX-License-Identifier: MIT
"""Virtual machines as services. qemu-vm-powerdown presses the power button, which ends guests cleanly, and waits for
slow guests. Other tests run the commands of qemu-vm@.service from the first to the last."""

import json
import os
import shutil
import socket
import subprocess

from tests.guest.guest import CACHE, USER, GuestRing, expected_story, nics_of
from tests.guest.vm import Unit, settings_file
from tests.lib import users
from tests.lib.process import until

SOCKET = f"{users.HOMES}/{USER}/qmp"
WATCHED = f"{users.HOMES}/{USER}/watched"
WAIT = "guest.end=wait guest.pings=0"


class Monitor:
    """A second QMP socket of a QEMU, on which a test waits for events."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        until(lambda: self.socket.connect_ex(path) == 0, f"QEMU listens on {path}")
        self.socket.settimeout(20)
        self.lines = self.socket.makefile("rw", encoding="utf-8")
        self.lines.readline()
        self.lines.write('{"execute": "qmp_capabilities"}\n')
        self.lines.flush()

    def close(self):
        self.lines.close()
        self.socket.close()

    def wait_for(self, event):
        while True:
            line = self.lines.readline()
            if not line:
                raise AssertionError(f"QEMU ended without {event}")
            if json.loads(line).get("event") == event:
                return


class PowerRing(GuestRing):
    def setUp(self):
        super().setUp()
        for path in (SOCKET, WATCHED):
            if os.path.exists(path):
                os.unlink(path)
        self.powerdown = self.host.share(f"{self.host.build}/client/programs/vm_powerdown/qemu-vm-powerdown")

    def start_guest(self, image="cloud", *options):
        command = [*self.qemu(image, WAIT), "-qmp", f"unix:{SOCKET},server=on,wait=off", *options]
        return self.run_guest([], command)[0]

    def press(self, user="root", timeout=60):
        return self.host.run(user, self.powerdown, SOCKET, timeout=timeout)

    def assert_powered_down(self, guest, done):
        self.assertEqual((done.status, done.out, done.err), (0, "", ""))
        self.assertEqual(guest.end(), 0)
        self.assertEqual(guest.story()[-1], "GUEST-POWERDOWN")
        self.assertEqual(guest.complaints(), "")
        self.assert_gone()


class Button(PowerRing):
    def test_waiting_guest(self):
        """A running guest powers itself down when the button is pressed; QEMU exits with 0 and leaves nothing."""
        guest = self.start_guest()
        guest.wait_for("^GUEST-WAITING$")
        self.assert_powered_down(guest, self.press())

    def test_by_the_user(self):
        """The user that runs the QEMU can press the button without root."""
        guest = self.start_guest()
        guest.wait_for("^GUEST-WAITING$")
        self.assert_powered_down(guest, self.press(USER))

    def test_booting_guest(self):
        """The button is pressed again until the guest reacts, if the guest has no driver for it yet."""
        guest = self.start_guest()
        until(lambda: os.path.exists(SOCKET), "QEMU has its socket")
        self.assertFalse(guest.has_said("^GUEST-WAITING$"))
        self.assert_powered_down(guest, self.press())

    def test_no_shutdown(self):
        """A QEMU with -no-shutdown, which would stay after its guest is off, ends too."""
        guest = self.start_guest("cloud", "-no-shutdown")
        guest.wait_for("^GUEST-WAITING$")
        self.assert_powered_down(guest, self.press())

    def test_deaf_guest(self):
        """For a guest without ACPI the button is pressed again and again, until QEMU ends in another way."""
        guest = self.start_guest("pnp", "-qmp", f"unix:{WATCHED},server=on,wait=off")
        guest.wait_for("^GUEST-WAITING$")
        monitor = Monitor(WATCHED)
        self.addCleanup(monitor.close)
        with self.host.start("root", self.powerdown, SOCKET) as pressing:
            for _ in range(2):
                monitor.wait_for("POWERDOWN")
            self.assertIsNone(pressing.poll(), "qemu-vm-powerdown ended while QEMU runs")
            guest.popen.terminate()
            self.assertEqual(guest.end(), 0)
            out, err = pressing.communicate()
        self.assertEqual((pressing.returncode, out, err), (0, b"", b""))
        self.assertNotIn("GUEST-POWERDOWN", guest.story())
        self.assert_gone()

    def test_killed_meanwhile(self):
        """If QEMU is killed during the powerdown, qemu-vm-powerdown has its aim and exits with 0."""
        guest = self.start_guest("pnp", "-qmp", f"unix:{WATCHED},server=on,wait=off")
        monitor = Monitor(WATCHED)
        self.addCleanup(monitor.close)
        with self.host.start("root", self.powerdown, SOCKET) as pressing:
            monitor.wait_for("POWERDOWN")
            guest.kill()
            out, err = pressing.communicate()
        self.assertEqual((pressing.returncode, out, err), (0, b"", b""))
        self.assert_gone()


class Service(PowerRing):
    """The unit's commands in their order, as systemd would start them, without systemd."""

    def unit(self, nics=1, run_as=USER, **settings):
        images = [self.host.share(f"{CACHE}/cloud/{file}", f"cloud-{file}") for file in ("vmlinuz", "initrd")]
        text = settings_file(*images, nics=nics, run_as=run_as, **settings)
        unit = Unit(self.host.build, "web", text)
        self.addCleanup(self.run_line, unit, "ExecStopPost")
        subprocess.run(["umount", "--quiet", f"{unit.runtime_directory}/sockets"], check=False)
        shutil.rmtree(unit.runtime_directory, ignore_errors=True)
        os.makedirs(unit.runtime_directory)
        return unit

    def programs_of(self, words):
        """Replace the unit's installed programs by those of the build."""
        ours = {"qemu-tapctl": f"{self.host.build}/client/qemu-tapctl",
                "qemu-vm-powerdown": f"{self.host.build}/client/programs/vm_powerdown/qemu-vm-powerdown",
                "qemu-vm-prepare": f"{self.host.source}/systemd/qemu-vm-prepare"}
        return [self.host.share(ours[os.path.basename(word)])
                if os.path.basename(word) in ours else word for word in words]

    def line(self, unit, key):
        """Return the words to start. Like systemd, make root the owner of the unit's directory before each command."""
        os.chown(unit.runtime_directory, 0, 0)
        os.chmod(unit.runtime_directory, 0o755)
        return self.programs_of(unit.confined(key))

    def run_line(self, unit, key):
        settings = [f"{name}={text}" for name, text in unit.environment.items()]
        return self.host.run("root", "env", *settings, *self.line(unit, key), timeout=60)

    def prepare(self, unit):
        done = self.run_line(unit, "ExecStartPre")
        self.assertEqual((done.status, done.err), (0, ""))
        facts = os.stat(f"{unit.runtime_directory}/sockets")
        self.assertEqual((facts.st_uid, facts.st_mode & 0o7777), (users.USERS[USER], 0o700))

    def test_whole_life(self):
        """With only the unit's settings and capabilities a user's machine with two NICs runs and powers down."""
        unit = self.unit(nics=2, words="guest.interval=0.2", options="--queues 1")
        self.prepare(unit)
        guest = self.start(*self.line(unit, "ExecStart"), user="root")
        guest.wait_for("^GUEST-WAITING$")
        (lease,) = self.leases()
        self.assertEqual((lease["label"], lease["hold"], len(lease["taps"])), ("web", "fd", 2))
        self.assertEqual(guest.story(), [*expected_story(nics_of(lease, "cloud")), "GUEST-WAITING"])
        self.assertEqual(os.stat(f"/proc/{guest.popen.pid}").st_uid, users.USERS[USER])
        self.assertEqual(guest.words()[0], "qemu-system-x86_64", "the main process is QEMU")
        self.assert_powered_down(guest, self.run_line(unit, "ExecStop"))

    def test_after_the_end(self):
        """ExecStop= succeeds for a guest that has already powered itself off."""
        unit = self.unit()
        self.prepare(unit)
        done = self.run_line(unit, "ExecStop")
        self.assertEqual(done.status, 0)
        self.assertIn("nobody listens", done.err)

    def test_without_command(self):
        """Settings without QEMU= end with status 127, which systemd does not retry, and an error that says so."""
        unit = self.unit()
        del unit.environment["QEMU"]
        self.prepare(unit)
        done = self.run_line(unit, "ExecStart")
        self.assertEqual(done.status, 127)
        self.assertIn("missing", done.err)
        self.assertIn(str(done.status), unit.service["RestartPreventExitStatus"].split())
        self.host.no_trace()

    def test_not_authorised(self):
        """A user who needs a password for taps gets none, and the status is one that systemd does not retry."""
        unit = self.unit(run_as="dave")
        self.run_line(unit, "ExecStartPre")
        done = self.run_line(unit, "ExecStart")
        self.assertEqual(done.status, 4)
        self.assertIn("qemu-tap", done.err)
        self.assertIn(str(done.status), unit.service["RestartPreventExitStatus"].split())
        self.host.no_trace()
