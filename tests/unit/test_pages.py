# SPDX-License-Identifier: MIT
"""The manual pages describe what the programs do: their options, defaults, settings, exit statuses and bus interface
are exactly those of --help, of the table of outcomes and of the interface's XML."""

import os
import pathlib
import re
import subprocess
import unittest
from xml.etree import ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("QEMU_TAPCTL_BUILD") or ROOT / "build")
CLIENT, DAEMON = BUILD / "client" / "qemu-tapctl", BUILD / "daemon" / "qemu-tapd"
HELPER = BUILD / "client" / "programs" / "tap_helper" / "qemu-tap-helper"
PAGES = {
    (page.stem, page.suffix.removeprefix(".")): page for page in sorted((ROOT / "doc" / "man").iterdir())
}
INTERFACE = ROOT / "dbus" / "org.qemutap1.xml"
EMITS_CHANGED = "org.freedesktop.DBus.Property.EmitsChangedSignal"
# Every verb has --help, which the page describes once. A configuration file cannot set these options of the daemon.
HELP = {"--help"}
NO_SETTING = {"--end-leases", "--runqemu-locks", "--runqemu-locks-at", "--help", "--version", "--config"}
# Success, and the statuses of the shell and env(1) for a command that cannot be started; no error has these.
OTHER_STATUSES = {0, 126, 127}
# An error that the client itself raises, so it is never sent on the bus.
NOT_ON_THE_BUS = "org.qemutap1.Error.ServiceUnavailable"


def help_options(program, *verb):
    """The options of a --help, each with the default that is printed with it, or None."""
    done = subprocess.run([program, *verb, "--help"], capture_output=True, text=True, check=True, timeout=120)
    options = {}
    for line in done.stdout.splitlines():
        # Versions of CLI11 differ: `-h,--help`, `-h, --help`; `--count NUMBER=1`, `--count NUMBER [1]`.
        found = re.match(r" +(?:-\w, ?)?(--[a-z-]+)(.*?)(?: {2,}|$)", line)
        if found:
            shown = re.search(r"(?:=| \[)\[?([^\s\[\]]+)", re.sub(r"\{.*?\}", "", found.group(2)))
            options[found.group(1)] = shown.group(1) if shown else None
    if not options:
        raise AssertionError(f"no options in {done.stdout!r}")
    return options


def verbs_of_help():
    """The verbs of the client's --help, which prints the program's table of verbs."""
    shown = subprocess.run([CLIENT, "--help"], capture_output=True, text=True, check=True, timeout=120).stdout
    listed = re.search(r"^subcommands:\n(.*?)(?:\n\n|\Z)", shown, re.I | re.M | re.S).group(1)
    return tuple(re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE))


VERBS = verbs_of_help()


class Page:
    """One page in mdoc(7), read by its macros."""

    def __init__(self, name, section):
        self.source = PAGES[name, section].read_text(encoding="utf-8")
        # mdoc source has \- for each literal hyphen.
        self.plain = self.source.replace("\\-", "-").replace("\\e", "\\").replace("\\(aq", "'")

    def section(self, title, text=None):
        """The text below .Sh or .Ss TITLE."""
        found = re.search(rf"^\.S[hs] {re.escape(title)}\n(.*?)(?=^\.S[hs] |\Z)", text or self.source,
                          re.MULTILINE | re.DOTALL)
        if not found:
            raise AssertionError(f"the page has no section {title}")
        return found.group(1)

    def items(self, title):
        """The entries of a section's lists: the words after .It, and the text below."""
        return re.findall(r"^\.It (.*)\n((?:(?!\.It |\.El).*\n)*)", self.section(title), re.MULTILINE)

    def options(self, title):
        """The long options that a section describes, each with the text below."""
        return {f"--{option}": text for head, text in self.items(title)
                for option in re.findall(r"(?:Fl |, )-([a-z-]+)", head)}

    def typed(self, title, part=0):
        """The keys of list number `part` in a section, with their types."""
        lists = self.section(title).split(".Bl ")[1:]
        return dict(re.findall(r"^\.It Cm (\S+) Pq Vt (\S+)$", lists[part], re.MULTILINE))

    def literals(self):
        return re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", self.plain, re.MULTILINE | re.DOTALL)


class Pages(unittest.TestCase):
    def assert_defaults(self, shown, described):
        for option, default in shown.items():
            if default is not None:
                with self.subTest(option=option):
                    stated = re.search(r"The default is\s+(?:\.\w+ )?(\S+?(?: and \S+?)?)[.,:]?(?:\s|$)",
                                       described[option])
                    self.assertIsNotNone(stated, "the page states no default")
                    self.assertEqual(stated.group(1).replace(" and ", ","), default)


class Client(Pages):
    def setUp(self):
        self.page = Page("qemu-tapctl", "1")

    def synopsis(self):
        """For each verb the options in its synopsis line; "" is the line without a verb."""
        lines = {}
        for line in self.page.section("SYNOPSIS").split(".Nm\n")[1:]:
            verb = re.match(r"\.Cm (\w+)\n", line)
            lines[verb.group(1) if verb else ""] = {f"--{option}" for option in re.findall(r"Fl -([a-z-]+)", line)}
        return lines

    def test_verbs(self):
        """The synopsis has exactly the client's verbs, and each is described."""
        self.assertEqual(set(self.synopsis()), {*VERBS, ""})
        self.assertEqual([head for head, _ in self.page.items("COMMANDS")], [f"Cm {verb}" for verb in VERBS])
        self.assertGreater(len(VERBS), 5)

    def test_options_of_verbs(self):
        """Each verb's line in the synopsis has exactly the options of its --help."""
        lines = self.synopsis()
        for verb in VERBS:
            with self.subTest(verb=verb):
                self.assertEqual(lines[verb], set(help_options(CLIENT, verb)) - HELP)
        self.assertEqual(lines[""], set(help_options(CLIENT)))

    def test_options_described(self):
        """OPTIONS describes every option of every verb, and no other."""
        known = set(help_options(CLIENT)).union(*(help_options(CLIENT, verb) for verb in VERBS))
        self.assertEqual(set(self.page.options("OPTIONS")), known)
        self.assertLessEqual({f"--{option}" for option in re.findall(r"Fl -([a-z-]+)", self.page.source)}, known)

    def test_defaults(self):
        """The defaults in --help are those in the page."""
        described = self.page.options("OPTIONS")
        by_format = {verb: help_options(CLIENT, verb).pop("--format") for verb in ("up", "args")}
        words = re.findall(r"Cm (\w+)", described.pop("--format"))
        self.assertEqual(words, [by_format["up"], "up", by_format["args"], "args"])
        for verb in VERBS:
            shown = help_options(CLIENT, verb)
            shown.pop("--format", None)
            self.assert_defaults(shown, described)

    def test_formats(self):
        """The page describes exactly the formats that --help names."""
        shown = subprocess.run([CLIENT, "up", "--help"], capture_output=True, text=True, check=True, timeout=120).stdout
        named = re.search(r"--format.*?\s{2,}(text,.*)", shown).group(1)
        self.assertEqual([head.removeprefix("Cm ") for head, _ in self.page.items("FORMATS")],
                         re.findall(r"\b(?!or\b)[a-z]+", named))

    def test_exit_statuses(self):
        """EXIT STATUS has exactly the statuses of the table of outcomes, 0, 126 and 127, with the table's words."""
        table = (ROOT / "common" / "error.cpp").read_text(encoding="utf-8")
        meanings = {int(status): meaning for status, meaning
                    in re.findall(r'"org\.[\w.]+",\s+(\d+),\s+"([^"]+)"\}', table)}
        self.assertGreater(len(meanings), 5, "the table of outcomes was not found")
        entries = {int(head): text for head, text in self.page.items("EXIT STATUS")}
        self.assertEqual(list(entries), sorted({*meanings} | OTHER_STATUSES))
        for status, meaning in meanings.items():
            with self.subTest(status=status):
                text = " ".join(re.sub(r"^\.Pa ", "", entries[status], flags=re.MULTILINE).split())
                self.assertTrue(text.lower().startswith(meaning.lower()), text)

    def test_examples(self):
        """Examples in all pages call the client with options that their verb has."""
        calls = []
        for page in PAGES:
            text = "".join(Page(*page).literals()).replace("\\\n", " ")
            calls += re.findall(r"qemu-tapctl (\w+)((?: (?!-- )[^\s|>)']+)*)", re.sub(r" {2,}", " ", text))
        self.assertGreater(len(calls), 5, "the examples were not found")
        for verb, words in calls:
            with self.subTest(call=verb + words):
                self.assertLessEqual(set(re.findall(r" (--[a-z-]+)", words)), set(help_options(CLIENT, verb)))


class Helper(Pages):
    def test_options(self):
        """Synopsis and OPTIONS of qemu-tap-helper(8) have exactly the options of its --help."""
        page, shown = Page("qemu-tap-helper", "8"), help_options(HELPER)
        self.assertEqual(set(page.options("OPTIONS")), set(shown))
        synopsis = re.findall(r"Fl -([a-z-]+)", page.section("SYNOPSIS"))
        self.assertEqual({f"--{option}" for option in synopsis}, set(shown))
        self.assert_defaults(shown, page.options("OPTIONS"))


class Daemon(Pages):
    def setUp(self):
        self.shown = help_options(DAEMON)

    def settings(self):
        return {f"--{head.split()[1]}": text for head, text in Page("qemu-tapd.conf", "5").items("SETTINGS")}

    def test_options(self):
        """Synopsis and OPTIONS of qemu-tapd(8) have exactly the options of its --help."""
        page = Page("qemu-tapd", "8")
        self.assertEqual(set(page.options("OPTIONS")), set(self.shown))
        synopsis = re.findall(r"Fl -([a-z-]+)", page.section("SYNOPSIS"))
        self.assertEqual({f"--{option}" for option in synopsis}, set(self.shown))
        self.assert_defaults({option: default for option, default in self.shown.items() if option != "--config"},
                             page.options("OPTIONS"))

    def test_settings(self):
        """qemu-tapd.conf(5) describes exactly the options that a file can set, with their defaults."""
        settings = self.settings()
        shown = {option: default for option, default in self.shown.items() if option not in NO_SETTING}
        self.assertEqual(set(settings), set(shown))
        self.assert_defaults(shown, settings)

    def test_examples(self):
        """The example file in qemu-tapd.conf(5) sets existing keys."""
        page = Page("qemu-tapd.conf", "5")
        keys = re.findall(r"^([a-z-]+) = ", "".join(page.literals()), re.MULTILINE)
        self.assertGreater(len(keys), 0)
        self.assertLessEqual({f"--{key}" for key in keys}, set(self.settings()))

    def test_default_file(self):
        """The default file in --help is the one in the pages."""
        path = self.shown["--config"]
        for page in (Page("qemu-tapd", "8"), Page("qemu-tapd.conf", "5")):
            self.assertIn(f"Pa {path}", [head for head, _ in page.items("FILES")])


class Bus(unittest.TestCase):
    def setUp(self):
        self.page = Page("org.qemutap1", "5")
        text = INTERFACE.read_text(encoding="utf-8")
        self.interface = ElementTree.fromstring(text).find("interface")
        self.comment = dict(re.findall(r"<!--\s+(\w+): (.*?)-->", text, re.DOTALL))

    def declaration(self):
        """The interface as the page's synopsis must declare it, ignoring white space."""
        lines = [f"interface {self.interface.get('name')} {{ methods:"]
        for method in self.interface.findall("method"):
            arguments = [f"{arg.get('direction')} {arg.get('type')} {arg.get('name')}" for arg in method.findall("arg")]
            lines.append(f"{method.get('name')}({', '.join(arguments)});")
        lines.append("properties:")
        for prop in self.interface.findall("property"):
            emits = {note.get("name"): note.get("value") for note in prop.findall("annotation")}[EMITS_CHANGED]
            lines.append(f'@{EMITS_CHANGED}("{emits}") {prop.get("access")}only {prop.get("type")} {prop.get("name")};')
        return " ".join(lines) + " };"

    def test_members(self):
        """The synopsis declares exactly the methods and properties of the XML, with arguments and types."""
        declared = " ".join(self.page.literals()[0].split())
        self.assertEqual(declared, f"node /org/qemutap1 {{ {self.declaration()} }};")

    def test_members_described(self):
        """Each method has a section and each property an entry, and there are no others."""
        methods = [method.get("name") for method in self.interface.findall("method")]
        self.assertEqual(re.findall(r"^\.Ss (\w+)$", self.page.source, re.MULTILINE), methods)
        properties = [f"Va {prop.get('name')}" for prop in self.interface.findall("property")]
        self.assertEqual([head for head, _ in self.page.items("PROPERTIES")], properties)

    def test_acquire_keys(self):
        """The page's options of Acquire and keys of a tap, with their types, are those that the XML documents."""
        options, taps = re.split(r"\n +lease: ", self.comment["Acquire"])
        for part, documented in enumerate((options, taps)):
            keys = dict(re.findall(r"^ {10}([a-z-]+) +([a-z])(?:  .*)?$", documented, re.MULTILINE))
            self.assertGreater(len(keys), 3, "the XML's comment was not understood")
            self.assertEqual(self.page.typed("Acquire", part), keys)

    def test_list_keys(self):
        """The page's options of List and keys of a lease, with their types, are those that the XML documents."""
        options, leases = self.comment["List"].split("leases, of each:\n")
        keys = dict(re.findall(r"(?:options: |\), )([a-z-]+) ([a-z])\b", " ".join(options.split())))
        self.assertEqual(self.page.typed("List", 0), keys)
        keys = dict(re.findall(r"^ *([a-z-]+) {2,}([a-z]|aa\{sv\})(?= |$)", leases, re.MULTILINE))
        self.assertEqual(self.page.typed("List", 1), keys)

    def test_all_keys(self):
        """The keys of all dictionaries are those that both programs are compiled with."""
        names, fields = ((ROOT / "contract" / name).read_text("utf-8") for name in ("bus_names.hpp", "fields.hpp"))
        compiled = set(re.findall(r'\bkey_\w+ = "([^"]+)"', names))
        compiled |= set(re.findall(r'\b(?:field\(|second_key = )"([^"]+)"', fields))
        dictionaries = [self.page.typed(method, part) for method in ("Acquire", "List") for part in (0, 1)]
        self.assertEqual(set().union(*dictionaries), compiled)

    def test_errors(self):
        """The page's error names are those of the table of outcomes and of the XML, except the client's own."""
        table = set(re.findall(r'"(org\.qemutap1\.Error\.\w+)"', (ROOT / "common" / "error.cpp").read_text("utf-8")))
        self.assertIn(NOT_ON_THE_BUS, table)
        paged = {head.removeprefix("Er ") for head, _ in self.page.items("ERROR NAMES")}
        self.assertEqual(paged, table - {NOT_ON_THE_BUS})
        listed = INTERFACE.read_text(encoding="utf-8").split("Errors, all with the prefix ")[1].split("-->")[0]
        documented = re.findall(r"^ {8}([A-Z]\w+)  ", listed, re.MULTILINE)
        self.assertEqual({f"org.qemutap1.Error.{name}" for name in documented}, paged)

    def test_actions(self):
        """The polkit actions in the pages are the installed ones."""
        policy = ElementTree.parse(ROOT / "polkit" / "org.qemutap.policy")
        actions = [f"Ql {action.get('id')}" for action in policy.iter("action")]
        self.assertEqual([head for head, _ in self.page.items("POLKIT ACTIONS")], actions)
        self.assertEqual([head for head, _ in Page("qemu-tapd", "8").items("AUTHORISATION")], actions)


class Every(unittest.TestCase):
    def test_references(self):
        """A reference to one of the project's pages names the right section."""
        ours = {name: section for name, section in PAGES}
        for name, section in PAGES:
            references = re.findall(r"\bXr (\S+) (\d)", Page(name, section).source)
            self.assertGreater(len(references), 0)
            for other, number in references:
                with self.subTest(page=name, refers=f"{other}({number})"):
                    self.assertEqual(number, ours.get(other, number))

    def test_beginning(self):
        """Every page begins with its licence and has the name and section of its file."""
        for name, section in PAGES:
            with self.subTest(page=name):
                page = Page(name, section)
                self.assertTrue(page.source.startswith('.\\" SPDX-License-Identifier: MIT\n'))
                self.assertRegex(page.source, rf"(?m)^\.Dt {re.escape(name.upper())} {section}$")
                self.assertEqual(page.section("NAME").splitlines()[0], f".Nm {name}")


if __name__ == "__main__":
    unittest.main()
