# SPDX-License-Identifier: MIT
"""The page qemu-vm@.service(5) describes what the unit does: its settings, defaults, times, statuses and files are the
unit's, and systemd can read its examples."""

import hashlib
import re
import shlex
import subprocess
import unittest

from tests.unit.test_pages import BUILD, CLIENT, ROOT, Page, Pages, help_options

PREPARE = ROOT / "systemd" / "qemu-vm-prepare"
WRITTEN = "VM_USER"


class VirtualMachine(Pages):
    def setUp(self):
        self.page = Page("qemu-vm@.service", "5")
        self.unit = (BUILD / "systemd" / "qemu-vm@.service").read_text(encoding="utf-8")

    def values(self, key):
        return re.findall(rf"^{key}=(.*)$", self.unit, re.MULTILINE)

    def test_settings(self):
        """SETTINGS has exactly the settings that the unit's commands use, with the unit's defaults."""
        used = set(re.findall(r"\$\{?(\w+)", "\n".join(self.values(r"Exec\w+"))))
        # The unit's first command computes this variable from the settings.
        self.assertIn(WRITTEN, used)
        self.assertIn(f'echo "{WRITTEN}=$user"', PREPARE.read_text(encoding="utf-8"))
        used = used - {WRITTEN} | {"RUN_AS"}
        described = {head.removeprefix("Ev "): text for head, text in self.page.items("SETTINGS")}
        self.assertEqual(set(described), used)
        defaults = dict(word.split("=", 1) for word in shlex.split(self.values("Environment")[0]))
        for name, text in described.items():
            with self.subTest(setting=name):
                stated = re.search(r"(?:The|There is no) default(?: is ([^.:]+))?", text)
                expected = defaults.get(name)
                self.assertEqual((stated.group(1) or "").strip(), "none" if expected == "" else expected or "")

    def test_figures(self):
        """Times, statuses, files and the page's own name are those of the unit."""
        plain = " ".join(self.page.plain.split())
        seconds = int(re.fullmatch(r"(\d+)s", self.values("TimeoutStopSec")[0]).group(1))
        self.assertIn(f"After {seconds} seconds the unit sends SIGTERM", plain)
        self.assertIn(f"again after {int(self.values('RestartSec')[0].rstrip('s'))} seconds", plain)
        self.assertEqual((self.values("StartLimitBurst"), self.values("StartLimitIntervalSec")), (["10"], ["2min"]))
        self.assertIn("ten times in two minutes", plain)
        statuses = self.values("RestartPreventExitStatus")[0].split()
        self.assertIn(f"The statuses {', '.join(statuses[:-1])} and {statuses[-1]} of", plain)
        self.assertEqual(self.values("EnvironmentFile"), ["-/etc/qemu-vm/%i.conf", "-%t/qemu-vm/%i/user"])
        files = [head.removeprefix("Pa ") for head, _ in self.page.items("FILES")]
        place = "%t/qemu-vm/%i/sockets"
        socket = re.search(r"unix:(\S+?),", self.values("ExecStart")[0]).group(1)
        self.assertTrue(place.startswith(f"%t/{self.values('RuntimeDirectory')[0]}/"), "systemd would not remove it")
        self.assertEqual(socket, f"{place}/qmp")
        self.assertTrue(self.values("ExecStop")[0].endswith(f" {socket}"))
        self.assertEqual(files, [name.replace("%i", "NAME").replace("%t", "/run")
                                 for name in ("/etc/qemu-vm/%i.conf", "/var/lib/qemu-vm/%i", place, socket)])
        prepare = PREPARE.read_text(encoding="utf-8")
        self.assertIn("home=/var/lib/qemu-vm/$name\n", prepare)
        self.assertIn("sockets=${RUNTIME_DIRECTORY:-/run/qemu-vm/$name}/sockets\n", prepare)
        self.assertIn("size=1m,nr_inodes=64", prepare)
        self.assertIn("a file system of 1 MiB and 64 files", plain)
        self.assertEqual(self.values("Documentation"), ["man:qemu-vm@.service(5)"])

    def test_users(self):
        """Each virtual machine has a user of its own, with a name that systemd-sysusers accepts, as in the page."""
        names = ("web", "Web", "w", "a_b-c", "x" * 23, "x" * 24, "x" * 63, "a.b", "a:b", "a@b", "a-b", "1", "a")
        users = {name: self.prepare("user", name).stdout.strip() for name in names}
        self.assertEqual(users["web"], "qemu-vm-web")
        self.assertEqual(users["x" * 23], "qemu-vm-" + "x" * 23)
        self.assertEqual(users["a.b"], "qemu-vm_" + hashlib.sha256(b"a.b").hexdigest()[:22])
        self.assertEqual(len(set(users.values())), len(set(names)))
        for user in users.values():
            self.assertRegex(user, r"\A[A-Za-z_][A-Za-z0-9_-]{0,30}\Z")

    def test_names(self):
        """An invalid name of a virtual machine is refused before anything is made."""
        for name in ("", ".", "..", "-x", "a/b", "a b", "a\nb", "$(id)", "a;b"):
            with self.subTest(name=name):
                done = self.prepare("user", name)
                self.assertEqual((done.returncode, done.stdout), (2, ""))

    @staticmethod
    def prepare(*words):
        return subprocess.run([PREPARE, *words], capture_output=True, text=True, check=False)

    def test_presses(self):
        """The page states the interval of the program's button presses."""
        source = (ROOT / "client" / "programs" / "vm_powerdown" / "main.cpp").read_text(encoding="utf-8")
        seconds = re.search(r"seconds between_presses\{(\d+)\}", source).group(1)
        self.assertIn(f"every {seconds} seconds until QEMU has ended", " ".join(self.page.plain.split()))

    def test_client_options(self):
        """The unit calls the client with options that `run` has."""
        words = self.values("ExecStart")[0].split(" -- ")[0]
        self.assertLessEqual(set(re.findall(r" (--[a-z-]+)", words)), set(help_options(CLIENT, "run")))

    def test_examples(self):
        """The examples use existing settings, quoted so that systemd reads complete words from the file."""
        settings = set(head.removeprefix("Ev ") for head, _ in self.page.items("SETTINGS"))
        files = [text for text in self.page.literals() if "QEMU=" in text]
        self.assertGreater(len(files), 1)
        for text in files:
            assigned = dict(word.split("=", 1) for word in shlex.split(text))
            self.assertLessEqual(set(assigned), settings)
            self.assertEqual(shlex.split(assigned["QEMU"])[0], "qemu-system-x86_64")


if __name__ == "__main__":
    unittest.main()
