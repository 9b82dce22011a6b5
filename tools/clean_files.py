# SPDX-License-Identifier: MIT
"""The files that clang-tidy has found clean, kept by a hash of all that its answer depends on: its version, its
configuration, the file's compiler command, and the contents of the file and of every header that the compiler read."""

import hashlib
import json
import os
import pathlib
import subprocess

FOLDER = pathlib.Path(os.environ.get("QEMU_TAPCTL_CACHE") or "/var/cache/qemu-tapctl") / "tidy"


def _read_files(build):
    """The files that the compiler read for each object, as ninja has them."""
    done = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], capture_output=True, text=True, check=False)
    found, files = {}, []
    for line in done.stdout.splitlines():
        if line.startswith(" "):
            files.append(line.strip())
        elif ": #deps" in line:
            files = found[line.partition(":")[0]] = []
    return found


class CleanFiles:
    def __init__(self, build, root):
        self.build, self.root = build, root
        self.contents = {}
        self.read_files = _read_files(build)
        entries = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
        self.entries = {(pathlib.Path(entry["directory"]) / entry["file"]).resolve(): entry for entry in entries}
        version = subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True, check=True).stdout
        self.common = version + (root / ".clang-tidy").read_text(encoding="utf-8")

    def _hash_of(self, path):
        if path not in self.contents:
            self.contents[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self.contents[path]

    def _place_of(self, path):
        """None if the compiler has not read the file in this build folder yet."""
        entry = self.entries.get((self.root / path).resolve())
        names = self.read_files.get(entry["output"]) if entry else None
        if not names:
            return None
        lines = [self.common, str(path), entry["command"].replace(str(self.root), "")]
        try:
            lines += [self._hash_of((self.build / name).resolve()) for name in names]
        except OSError:
            return None
        return FOLDER / hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def has(self, path):
        place = self._place_of(path)
        return place is not None and place.exists()

    def keep(self, path):
        place = self._place_of(path)
        if place is not None:
            FOLDER.mkdir(parents=True, exist_ok=True)
            place.touch()
