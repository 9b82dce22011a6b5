# SPDX-License-Identifier: MIT
"""The README and the documents in doc/ agree with the programs, the tests and each other: links lead somewhere, the
programs accept the commands, and options, messages, figures and tests that a document names exist."""

import ast
import functools
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("QEMU_TAPCTL_BUILD") or ROOT / "build")
CLIENT, DAEMON = BUILD / "client" / "qemu-tapctl", BUILD / "daemon" / "qemu-tapd"
HELPER = BUILD / "client" / "programs" / "tap_helper" / "qemu-tap-helper"
VERBS = ("run", "runqemu", "up", "down", "list", "args", "help")
# The documents for users and administrators. README.md and doc/ are written for them.
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "doc").rglob("*.md"))]
# Every Markdown file of the tree, without build folders and hidden ones.
EVERY = sorted(path for path in ROOT.rglob("*.md")
               if not re.match(r"build|\.", path.relative_to(ROOT).parts[0]))
PAGES = {page.stem: page for page in (ROOT / "doc" / "man").iterdir()}
NO_SERVICE = 3
BASH = "/bin/bash"
# bash calls this function for each command that it does not find. It writes the words to a file, separated by NUL.
RECORDER = r"""
PATH=/nonexistent
command_not_found_handle() { printf '%s\0' "$@" $'\x1e' >>"$RECORD"; }
"""
# Programs of the system in the documents' commands. Bash parses these commands; no test runs them.
FOREIGN = {"adduser", "apt", "busctl", "chmod", "dbus-daemon", "git", "install", "ip", "journalctl", "meson", "networkctl",
           "nft", "pytest", "qemu-system-x86_64", "sysctl", "systemctl", "systemd-sysusers", "virsh"}
# Options of other programs, and of programs that a document advises to write.
FOREIGN_OPTIONS = {"--sysctl", "--private-network", "--action-id", "--system"}
# Words that style.md replaces: they name no actor, or have a plainer form.
WORDS = re.compile(r"\b(anew|for want of|as ever|heed\w*|on (?:its|his|their|our) behalf|whoever|somebody|nobody|"
                   r"of ours|tells?|told)\b", re.IGNORECASE)
OPENINGS = re.compile(r"(?:^|[.:!?] |\| )(Who|What|Of|That) (?!is (?:it|this)\?)", re.MULTILINE)


def without_blocks(text):
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def without_code(text):
    return re.sub(r"`[^`\n]*`", "`code`", without_blocks(text))


def blocks(path, language):
    text = path.read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


@functools.cache
def anchors(path):
    """The anchors that GitHub and GitLab make of a file's headings."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@functools.cache
def options_of(program, *verb):
    shown = subprocess.run([program, *verb, "--help"], capture_output=True, text=True, check=True, timeout=30).stdout
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", shown))


def recorded(block, folder):
    """The commands of a shell block as bash expands them. Bash runs none of them."""
    record = pathlib.Path(folder, "record")
    record.write_bytes(b"")
    # Bash also calls a function whose name has a slash, so each path gets one.
    paths = set(re.findall(r"(?<![^\s(\"'])(?:\./|/usr/|tools/)[\w/.-]+", block))
    functions = "".join(f"function {path} {{ command_not_found_handle {path} \"$@\"; }}\n" for path in paths)
    done = subprocess.run([BASH, "-c", RECORDER + functions + block + "\nwait"], cwd=folder, check=False, timeout=60,
                          env={"RECORD": str(record)}, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    words = record.read_bytes().decode().split("\0\x1e\0")
    return done, [call.split("\0") for call in words if call]


def stub(folder, command):
    """Puts an empty program where the client looks for the command."""
    place = pathlib.Path(folder, command if "/" in command else f"bin/{command}")
    place.parent.mkdir(exist_ok=True)
    place.write_text("#!/bin/sh\n", encoding="utf-8")
    place.chmod(0o755)


class Links(unittest.TestCase):
    def test_links(self):
        """Every link in a Markdown file leads to an existing file, and to an existing heading in it."""
        count = 0
        for path in EVERY:
            for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(path.read_text(encoding="utf-8"))):
                if "://" in target or target.startswith("mailto:"):
                    continue
                count += 1
                with self.subTest(file=str(path.relative_to(ROOT)), link=target):
                    file, _, anchor = target.partition("#")
                    other = (path.parent / file).resolve() if file else path
                    self.assertTrue(other.exists(), "no such file")
                    if anchor:
                        self.assertIn(anchor, anchors(other))
        self.assertGreater(count, 20, "the links were not found")

    def test_sections_of_pages(self):
        """A document names the right section of each of the project's manual pages, and existing headings."""
        for path in DOCUMENTS:
            text = " ".join(path.read_text(encoding="utf-8").split())
            for name, section, heading in re.findall(r"([\w@.-]+)\((\d)\)(?:, ([A-Z][A-Z ]+[A-Z])\b)?", text):
                if name in PAGES:
                    with self.subTest(file=path.name, page=f"{name}({section})", heading=heading):
                        self.assertEqual(PAGES[name].suffix, f".{section}")
                        if heading:
                            self.assertIn(f"\n.Sh {heading}\n", PAGES[name].read_text(encoding="utf-8"))

    def test_readme(self):
        """The README has at most 150 lines, and names every document and every manual page."""
        text = (ROOT / "README.md").read_text(encoding="utf-8")
        self.assertLessEqual(len(text.splitlines()), 150)
        for path in DOCUMENTS[1:]:
            self.assertIn(f"]({path.relative_to(ROOT)})", text)
        for name, page in PAGES.items():
            self.assertIn(f"{name}({page.suffix[1:]})", text)


class Commands(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="qemu-tapctl-docs-")
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name

    def calls(self):
        """Yields (document, words) for each command in a shell block of a document."""
        for path in [*DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "RELEASING.md"]:
            for block in blocks(path, "sh"):
                # The shell would execute a redirection, even to a file of this machine.
                self.assertNotRegex(block, r">\s*[^\s&]", path.name)
                done, calls = recorded(block, self.folder)
                self.assertEqual((done.returncode, done.stderr), (0, ""), block)
                yield from ((path, call) for call in calls)

    def test_commands(self):
        """Each shell block is a script that bash accepts, and calls existing programs."""
        for path, call in self.calls():
            with self.subTest(file=path.name, call=call):
                if call[0].startswith("tools/"):
                    self.assertTrue(os.access(ROOT / call[0], os.X_OK))
                    usage = (ROOT / call[0]).read_text(encoding="utf-8")
                    for word in call[1:]:
                        self.assertIn(word, usage)
                else:
                    self.assertIn(pathlib.Path(call[0]).name, FOREIGN | {"qemu-tapctl", "qemu-tapd"})

    def test_client(self):
        """The client accepts each of its commands up to the call of the service, which is not running."""
        calls = [(path, call) for path, call in self.calls() if call[0] == "qemu-tapctl"]
        self.assertGreater(len(calls), 15, "the commands were not found")
        environment = {"PATH": f"{self.folder}/bin", "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}
        for path, (_, verb, *words) in calls:
            with self.subTest(file=path.name, verb=verb, words=words):
                stub(self.folder, words[words.index("--") + 1] if verb == "run" else "runqemu")
                done = subprocess.run([CLIENT, verb, *self.as_this_user(words)], env=environment, cwd=self.folder,
                                      capture_output=True, text=True, check=False, timeout=30, stdin=subprocess.DEVNULL)
                self.assertEqual(done.returncode, NO_SERVICE, done.stderr)

    def as_this_user(self, words):
        """Replaces or removes --user: the users in documents do not exist here, and only root can name one."""
        if "--user" not in words:
            return words
        at = words.index("--user")
        if os.geteuid() == 0:
            return [*words[:at + 1], "root", *words[at + 2:]]
        return [word for word in words[:at] + words[at + 2:] if word != "--keep-environment"]

    def test_meson_options(self):
        """The project has each option that a document passes to meson."""
        known = set(re.findall(r"^option\('(\w+)'", (ROOT / "meson_options.txt").read_text(encoding="utf-8"), re.M))
        for path, call in self.calls():
            if call[0] == "meson":
                given = {word[2:].partition("=")[0] for word in call if word.startswith("-D")}
                self.assertLessEqual(given, known, path.name)

    def test_settings(self):
        """The daemon has each setting in the `ini` blocks for it; other blocks are for systemd units."""
        settings = options_of(DAEMON)
        count = 0
        for path in DOCUMENTS:
            for block in blocks(path, "ini"):
                for key in re.findall(r"^([a-z][a-z-]*) = ", block, re.MULTILINE):
                    count += 1
                    with self.subTest(file=path.name, key=key):
                        self.assertIn(f"--{key}", settings)
        self.assertGreater(count, 3, "the settings were not found")

    def test_options(self):
        """Each option that a sentence of a document names is one of a program or tool of the project."""
        known = set().union(*(options_of(CLIENT, verb) for verb in VERBS), options_of(CLIENT), options_of(DAEMON),
                            options_of(HELPER), FOREIGN_OPTIONS)
        for tool in ("bench", "check"):
            known |= set(re.findall(r"--[a-z-]+", (ROOT / "tools" / tool).read_text(encoding="utf-8")))
        for path in DOCUMENTS:
            for code in re.findall(r"`([^`\n]+)`", without_blocks(path.read_text(encoding="utf-8"))):
                for option in re.findall(r"(?:^| )(--[a-z][a-z-]*)", code):
                    with self.subTest(file=path.name, option=option):
                        self.assertIn(option, known)


class Facts(unittest.TestCase):
    def test_promises(self):
        """Each promise names existing tests that carry its number."""
        rows = re.findall(r"^\| (I\d+) .*\| (.*?) \|$", (ROOT / "doc/promises.md").read_text(encoding="utf-8"), re.M)
        self.assertEqual([number for number, _ in rows], [f"I{n}" for n in range(1, 11)])
        for number, proof in rows:
            names = re.findall(r"`([\w.]+)`", proof)
            self.assertGreater(len(names), 0, number)
            for name in names:
                with self.subTest(promise=number, test=name):
                    self.assertRegex(self.claim(name), rf"\b{number}\b")

    def claim(self, name):
        """The claim of a test: its docstring, or the names of all test cases in a C++ file."""
        module, _, function = name.partition(".")
        if function == "cpp":
            (path,) = (ROOT / "tests").rglob(name)
            return "\n".join(re.findall(r"TEST_CASE\(\s*\"(.*?)\"", path.read_text(encoding="utf-8")))
        (path,) = (ROOT / "tests").rglob(f"{module}.py")
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        found = [ast.get_docstring(node) for node in nodes if isinstance(node, ast.FunctionDef) and node.name == function]
        self.assertGreater(len(found), 0, "no such test")
        return "\n".join(found)

    def test_figures(self):
        """Each figure in performance.md is the one in the row of RESULTS.md that it names."""
        results = (ROOT / "tests/bench/RESULTS.md").read_text(encoding="utf-8").splitlines()
        text = (ROOT / "doc/performance.md").read_text(encoding="utf-8")
        rows = re.findall(r"^\| (.+?) \| (.*\d.*?) \|$", text, re.MULTILINE)
        self.assertGreater(len(rows), 10, "the table was not found")
        for name, figure in rows:
            with self.subTest(row=name):
                self.assertTrue(any(f"| {name} |" in row and figure in row for row in results))

    def test_messages(self):
        """The programs print each message that troubleshooting.md quotes without another origin."""
        sources = self.sources()
        text = (ROOT / "doc/troubleshooting.md").read_text(encoding="utf-8").split("## In the guest")[0]
        # A message of QEMU, libvirt or systemd is followed by its origin.
        messages = re.findall(r"^\| `([^`]+)`(?:, in the service's log)? \|", text, re.MULTILINE)
        self.assertGreater(len(messages), 15, "the messages were not found")
        for message in messages:
            # The programs put names and numbers between these parts.
            parts = re.split(r"\.\.\.|\"[^\"]*\"|\d+|org\.[\w.]+|/dev/[\w/-]+|sh -c|\b(?:tap8|taps|undeleted|is not)\b", message)
            for part in (part.strip(" ,:") for part in parts):
                with self.subTest(message=message, part=part):
                    self.assertTrue(part in sources, "no program prints this")

    def sources(self):
        files = [path for folder in ("common", "client", "daemon", "contract", "plan")
                 for path in sorted((ROOT / folder).rglob("*.[ch]pp"))]
        text = "\n".join(path.read_text(encoding="utf-8") for path in files)
        # A string literal can continue on the next line.
        return re.sub(r'"\s*\n\s*"', "", text).replace('\\"', '"')

    def test_rooms(self):
        """Each folder that CONTRIBUTING.md names as a place for code exists."""
        text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
        table = text.split("## Where a line lives")[1].split("## Rules")[0]
        folders = re.findall(r"(?<![\w/])([a-z]+(?:/[a-z]+)*)/(?= )|(?<![\w/])(tests/[a-z]+)", table)
        self.assertGreater(len(folders), 15, "the folders were not found")
        for folder in filter(None, (name for pair in folders for name in pair)):
            with self.subTest(folder=folder):
                self.assertTrue((ROOT / folder).is_dir())

    def test_version(self):
        """The newest section of the CHANGELOG has the version in meson.build."""
        programs = re.search(r"^  version: '(.*)'", (ROOT / "meson.build").read_text(encoding="utf-8"), re.M).group(1)
        changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        self.assertEqual(re.search(r"^## ([\d.]+)", changes, re.MULTILINE).group(1), programs)


class English(unittest.TestCase):
    def test_words(self):
        """Documents use none of the words that name no actor or have a plainer form."""
        for path in [*DOCUMENTS, *(ROOT / name for name in ("CONTRIBUTING.md", "RELEASING.md", "SECURITY.md"))]:
            text = without_code(path.read_text(encoding="utf-8"))
            with self.subTest(file=path.name):
                self.assertEqual(WORDS.findall(text), [])
                self.assertEqual(OPENINGS.findall(text), [])


if __name__ == "__main__":
    unittest.main()
