# SPDX-License-Identifier: MIT
"""The shells' completions of qemu-tapctl offer exactly what the program accepts: the verbs, options and formats of
--help, and the caller's own leases by the names in `list`. The tests ask real shells; a stand-in answers `list`."""

import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tempfile
import unittest

from tests.unit.completing_shells import ARGUMENTS, COMMAND, Bash, Fish, Zsh
from tests.unit.test_pages import CLIENT, VERBS, help_options

LIST = """\
LEASE             LABEL  UID   HOLD  TAP    GATEWAY          CLIENT        MAC                QUEUES
e94d5ad4de49603f  web    1000  name  tap29  192.168.29.1/24  192.168.29.2  52:54:00:18:00:1d  1
e94d5ad4de49603f  web    1000  name  tap30  192.168.30.1/24  192.168.30.2  52:54:00:18:00:1e  1
0a1b2c3d4e5f6071  -      1000  fd    tap7   -                -             52:54:00:18:00:07  1
77aa77aa77aa77aa  ci:a@  1000  fd    tap8   192.168.8.1/24   192.168.8.2   52:54:00:18:00:08  4
"""
NAMES = {"e94d5ad4de49603f", "web", "tap29", "tap30", "0a1b2c3d4e5f6071", "tap7", "77aa77aa77aa77aa", "ci:a@", "tap8"}
DEVICES = ["virtio-net-pci", "virtio-net-device", "e1000", "e1000e", "rtl8139", "vmxnet3"]
# Fails if standard input is a terminal: a completion must not ask for a password.
ANSWERING = f"""#!/bin/sh
[ "$*" = list ] && ! [ -t 0 ] || exit 2
cat <<'END'
{LIST}END
"""
REFUSING = """#!/bin/sh
echo "LEASE and what a broken program"
echo "may print"
echo "qemu-tapctl: qemu-tapd is not running" >&2
exit 3
"""
HANGING = """#!/bin/sh
exec sleep 1000
"""


def named_in_help(verb, option):
    """The values that a --help names in the text of an option."""
    shown = subprocess.run([CLIENT, verb, "--help"], capture_output=True, text=True, check=True, timeout=120).stdout
    text = re.search(rf"{option} .*?\s{{2,}}(\w+,.*)", shown).group(1)
    return set(re.findall(r"\b(?!or\b)[a-z]+", re.sub(r"\(.*?\)", "", text)))


class Completions:
    """The tests for every shell; `start` starts one."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.stand_in("qemu-tapctl", ANSWERING)
        self.stand_in(COMMAND, "#!/bin/sh\n")
        environment = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "HOME": str(self.folder),
                       "TERM": "dumb", "LC_ALL": "C.UTF-8"}
        self.shell = self.start(environment)
        self.addCleanup(self.shell.close)

    def stand_in(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def words(self, line):
        """The candidates for the last word of `qemu-tapctl LINE`, sorted; of --option=value only the value."""
        words, _ = self.shell.ask(f"qemu-tapctl {line}")
        return sorted(re.sub("^--[a-z-]+=", "", word) for word in words)

    def assert_words(self, line, expected):
        with self.subTest(line=line):
            self.assertEqual(self.words(line), sorted(expected))

    def test_verbs(self):
        """The first word completes to each verb of --help and to nothing else."""
        self.assert_words("", VERBS)
        self.assert_words("r", ["run", "runqemu"])
        self.assert_words("list ", [])

    def test_options(self):
        """Each verb, and the program without one, completes the options of its --help and no others."""
        self.assert_words("-", help_options(CLIENT))
        for verb in VERBS:
            self.assert_words(f"{verb} -", help_options(CLIENT, verb))
        self.assert_words("run --count 2 --vh", ["--vhost"])

    def test_values(self):
        """An option's value, after a blank or =, completes to what --help names; numbers and labels do not complete."""
        for verb in ("up", "args"):
            formats = named_in_help(verb, "--format")
            self.assertGreater(len(formats), 3)
            self.assert_words(f"{verb} --format ", formats)
            self.assert_words(f"{verb} --format=", formats)
        self.assert_words("up --format=j", ["json"])
        self.assert_words("run --vhost ", named_in_help("run", "--vhost"))
        self.assert_words("run --hold ", ["fd", "name"])
        self.assert_words("runqemu --count ", [])
        for verb in ("run", "up", "args"):
            self.assert_words(f"{verb} --device ", DEVICES)
        for option in ("--count", "--queues", "--label"):
            self.assert_words(f"run {option} ", [])
        self.assert_words("up --idle-timeout ", [])

    def test_defaults(self):
        """The values that --help prints as defaults are candidates."""
        for verb in VERBS:
            for option, default in help_options(CLIENT, verb).items():
                if default is not None and not default.isdigit():
                    with self.subTest(verb=verb, option=option):
                        self.assertIn(default, self.words(f"{verb} {option} "))

    def test_users(self):
        """`run --user` completes to every user of the host."""
        beginning_alike = [user.pw_name for user in pwd.getpwall() if user.pw_name.startswith("roo")]
        self.assertIn("root", beginning_alike)
        self.assert_words("run --user roo", beginning_alike)
        self.assert_words("run --user=roo", beginning_alike)

    def test_names(self):
        """`down` and `args` complete leases, labels and taps as in `list`, each once, and run it without a terminal."""
        self.assert_words("down ", NAMES)
        self.assert_words("args ", NAMES)
        self.assert_words("down tap", ["tap7", "tap8", "tap29", "tap30"])
        self.assert_words("down ci:", ["ci:a@"])
        self.assert_words("down ci:a@", ["ci:a@"])
        self.assert_words("down x", [])

    def test_further_names(self):
        """`down` completes further names, none twice and none after --all; `args` completes one name."""
        self.assert_words("down web tap7 ", NAMES - {"web", "tap7"})
        self.assert_words("down --all ", [])
        self.assert_words("args web ", [])
        self.assert_words("args --format json --device=e1000 ", NAMES)
        self.assert_words("args --format json web ", [])

    def test_no_answer(self):
        """If `list` fails there are no candidates, and its output is not shown."""
        self.stand_in("qemu-tapctl", REFUSING)
        self.assert_words("down ", [])
        self.assertNotIn(b"not running", self.shell.shown)

    def test_late_answer(self):
        """If `list` hangs there are no candidates, and the shell continues."""
        self.stand_in("qemu-tapctl", HANGING)
        self.assert_words("down ", [])
        self.stand_in("qemu-tapctl", ANSWERING)
        self.assert_words("down w", ["web"])

    def test_command(self):
        """`run` completes commands and their own arguments, with `--` or without, and then none of its own options."""
        self.assert_words("run -- stand-in-", [COMMAND])
        self.assert_words("run --count 2 -- stand-in-", [COMMAND])
        self.assert_words("run --count 2 --label=ci:a@ -- stand-in-qemu ", ARGUMENTS)
        self.assert_words("run -- stand-in-qemu alpha b", ["beta"])
        self.assert_words("run -- stand-in-qemu --co", [])
        self.assert_words("run stand-in-", [COMMAND])
        self.assert_words("run --no-ask-password --count 2 --vhost=no stand-in-", [COMMAND])
        self.assert_words("run --label ci:a@ stand-in-qemu ", ARGUMENTS)
        self.assert_words("run --label=ci:a@ stand-in-qemu alpha b", ["beta"])
        self.assert_words("run stand-in-qemu --co", [])
        self.assert_words("up -- stand-in-", [])

    def test_no_command(self):
        """The value of an option of `run` and the names of other verbs do not complete to commands."""
        self.assert_words("run --label stand-in-", [])
        self.assert_words("run --label=stand-in-", [])
        self.assert_words("run --count 2 --hold ", ["fd", "name"])
        self.assert_words("up stand-in-", [])

    def test_help(self):
        """`help` completes one verb."""
        self.assert_words("help ", VERBS)
        self.assert_words("help r", ["run", "runqemu"])
        self.assert_words("help run ", [])


class InBash(Completions, unittest.TestCase):
    start = staticmethod(Bash)

    def test_line(self):
        """A single candidate is inserted into the line as a whole, also in words with : and =."""
        for line, completed in {"down ci:": "down ci:a@ ", "down c": "down ci:a@ ",
                                "up --format=j": "up --format=json ",
                                "run -- stand-in-qemu b": "run -- stand-in-qemu beta "}.items():
            with self.subTest(line=line):
                self.assertEqual(self.shell.ask(f"qemu-tapctl {line}")[1], f"qemu-tapctl {completed}")


class InBashAlone(InBash):
    """bash without bash-completion, which is not always installed: other commands have no completions of their own."""

    @staticmethod
    def start(environment):
        return Bash(environment, None)

    def files(self):
        """Lines of other programs' words that end in the beginning of a file's name, each with its completed line."""
        lines = ("run -- cat", "run cat", "runqemu --", "runqemu", "runqemu --count 2", "runqemu qemux86-64")
        return {f"{line} {self.folder}/an-": f"{line} {self.folder}/an-image " for line in lines}

    def test_command(self):
        """`run` completes commands and files, with `--` or without."""
        self.assert_words("run -- stand-in-", [COMMAND])
        self.assert_words("run -- stand-in-qemu alpha b", [])
        self.assert_words("run --label ci:a@ stand-in-", [COMMAND])
        self.assert_words("run stand-in-qemu alpha b", [])

    def test_line(self):
        """A single candidate is inserted as a whole, also in words with : and =, and for other programs also a file."""
        (self.folder / "an-image").touch()
        for line, completed in {"down ci:": "down ci:a@ ", "up --format=j": "up --format=json ", "down an-": "down an-",
                                **self.files()}.items():
            with self.subTest(line=line):
                self.assertEqual(self.shell.ask(f"qemu-tapctl {line}")[1], f"qemu-tapctl {completed}")


class InZsh(Completions, unittest.TestCase):
    start = staticmethod(Zsh)

    def words(self, line):
        """Ignores the options that zsh offers unasked if there are no other candidates."""
        asked = line.split(" ")[-1].startswith("-")
        return [word for word in super().words(line) if asked or not word.startswith("-")]

    def test_line(self):
        """A single candidate is inserted into the line as a whole, also in words with : and =."""
        for line, completed in {"down ci:": "down ci:a@", "up --format=j": "up --format=json",
                                "run -- stand-in-qemu b": "run -- stand-in-qemu beta"}.items():
            with self.subTest(line=line):
                self.assertEqual(self.shell.ask(f"qemu-tapctl {line}")[1].rstrip(), f"qemu-tapctl {completed}")

    def test_runqemu(self):
        """`runqemu` completes files, with `--` or without, after its own options and after other arguments."""
        (self.folder / "an-image").touch()
        for words in ("--", "", "--count 2", "qemux86-64"):
            line = " ".join(f"qemu-tapctl runqemu {words} {self.folder}/an-".split())
            with self.subTest(line=line):
                self.assertEqual(self.shell.ask(line)[1].rstrip(), f"{line}image")


class InFish(Completions, unittest.TestCase):
    start = staticmethod(Fish)

    def test_runqemu(self):
        """`runqemu` completes files, with `--` or without, after its own options and after other arguments."""
        (self.folder / "an-image").touch()
        for words in ("--", "", "--count 2", "qemux86-64"):
            self.assert_words(f"runqemu {words} {self.folder}/an-", [f"{self.folder}/an-image"])


if __name__ == "__main__":
    unittest.main()
