# SPDX-License-Identifier: MIT
"""A virtual machine of qemu-vm@.service that contains the test guest: its settings file and, for tests without systemd,
the unit's commands with the settings put in as systemd.exec(5) and systemd.service(5) say."""

import configparser
import os
import re
import shlex

QEMU = "qemu-system-x86_64"
UNIT = "qemu-vm@.service"


def settings_file(kernel, initrd, words="", nics=1, run_as=None, options=""):
    """Return /etc/qemu-vm/NAME.conf for a machine that boots the cloud guest, writes the guest's report to the unit's
    standard output (the journal, under systemd) and then waits for the power button."""
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
    """One instance of the built unit, with the commands that systemd would start."""

    def __init__(self, build, name, settings):
        with open(os.path.join(build, "systemd", UNIT), encoding="utf-8") as file:
            text = file.read()
        # configparser's syntax is close enough to systemd's; of a setting that is given twice the last one suffices.
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
        """Return the words of ExecStart= or a similar key. $NAME as a whole word is split, ${NAME} never is."""
        words, environment = [], {**self.environment, **self.written()}
        for word in shlex.split(self.specifiers(self.service[key]).lstrip("-+")):
            if re.fullmatch(r"\$\w+", word):
                words += shlex.split(environment.get(word[1:], ""))
            else:
                words.append(re.sub(r"\$\{(\w+)\}", lambda found: environment.get(found[1], ""), word))
        return words

    def written(self):
        """Return the variables that the unit's first command has written for the later ones."""
        path = f"{self.runtime_directory}/user"
        if not os.path.exists(path):
            return {}
        with open(path, encoding="utf-8") as file:
            return _assignments(file.read())

    def confined(self, key):
        """Return the command with the unit's capabilities and no way to gain others, unless it is marked with +."""
        if "+" in self.service[key].split()[0]:
            return self.command(key)
        capabilities = self.service["CapabilityBoundingSet"].lower().replace("cap_", "+").split()
        return ["setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set=-all,{','.join(capabilities)}", "--",
                *self.command(key)]
