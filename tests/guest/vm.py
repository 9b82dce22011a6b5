# SPDX-License-Identifier: MIT
"""A virtual machine of qemu-vm@.service with the test guest in it: its settings file, and, for where no systemd
runs, the unit's own lines with the settings put in as systemd.exec(5) and systemd.service(5) say."""

import configparser
import os
import re
import shlex

QEMU = "qemu-system-x86_64"
UNIT = "qemu-vm@.service"


def settings_file(kernel, initrd, words="", nics=1, run_as=None, options=""):
    """/etc/qemu-vm/NAME.conf of a machine that boots the cloud guest, tells its story on the unit's standard output
    (in the journal, under systemd) and then waits for the power button."""
    lines = [f"NICS={nics}"]
    if run_as:
        lines.append(f"RUN_AS={run_as}")
    if options:
        lines.append(f"RUN_OPTIONS='{options}'")
    append = f"console=ttyS0 quiet guest.end=wait guest.nics={nics} {words}".strip()
    lines.append(f"""QEMU='{QEMU} -machine pc,accel=tcg -m 256 -nodefaults -no-user-config
  -display none -serial stdio -no-reboot
  -kernel {kernel} -initrd {initrd}
  -append "{append}"'""")
    return "\n".join(lines) + "\n"


def _assignments(text):
    return dict(word.split("=", 1) for word in shlex.split(text, comments=True))


class Unit:
    """The built unit as an instance: what systemd would start."""

    def __init__(self, build, name, settings):
        with open(os.path.join(build, "systemd", UNIT), encoding="utf-8") as file:
            text = file.read()
        # systemd's syntax is nearly that of configparser; of a setting given twice the last is enough here.
        parser = configparser.RawConfigParser(strict=False, delimiters="=", comment_prefixes="#")
        parser.optionxform = str
        parser.read_string(text)
        self.service = parser["Service"]
        self.name = name
        self.environment = {**_assignments(self.service["Environment"]), **_assignments(settings)}
        self.runtime_directory = "/run/" + self.specifiers(self.service["RuntimeDirectory"])

    def specifiers(self, text):
        return text.replace("%i", self.name).replace("%t", "/run")

    def command(self, key):
        """The words of ExecStart= and its like: $NAME as a word of its own is split, ${NAME} never is."""
        words, environment = [], {**self.environment, **self.written()}
        for word in shlex.split(self.specifiers(self.service[key]).lstrip("-+")):
            if re.fullmatch(r"\$\w+", word):
                words += shlex.split(environment.get(word[1:], ""))
            else:
                words.append(re.sub(r"\$\{(\w+)\}", lambda found: environment.get(found[1], ""), word))
        return words

    def written(self):
        """What the first command of the unit has written for the others."""
        path = f"{self.runtime_directory}/user"
        if not os.path.exists(path):
            return {}
        with open(path, encoding="utf-8") as file:
            return _assignments(file.read())

    def confined(self, key):
        """The same with the unit's capabilities and without the means to get others; a command with a + has all."""
        if "+" in self.service[key].split()[0]:
            return self.command(key)
        capabilities = self.service["CapabilityBoundingSet"].lower().replace("cap_", "+").split()
        return ["setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set=-all,{','.join(capabilities)}", "--",
                *self.command(key)]
