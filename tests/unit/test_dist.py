# SPDX-License-Identifier: MIT
"""The archive of a release, as RELEASING.md makes it: `meson dist` packs each file of the tree, and the archive is
configured and compiled without the tree."""

import os
import pathlib
import subprocess
import tarfile
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# The identity and the owner of the scratch repository do not matter: it is deleted after the test.
GIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "safe.directory=*", "-c", "gc.auto=0")
# The library that needs the generated bus glue, and little else: the archive has the files of the tree, which other
# tests compile as a whole.
TARGET = "client/libqemutap-manager-proxy.a"


class Archive(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="qemu-tapctl-dist-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.tree = self.folder / "tree"
        # ccache finds the objects of other builds only if no debug information names this folder.
        self.environment = dict(os.environ, CCACHE_NOHASHDIR="1")

    def run_in(self, folder, *command):
        done = subprocess.run(command, cwd=folder, env=self.environment, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def commit(self):
        """Commits the tree as it is, also an unpacked archive or a clone of another user, to a scratch repository."""
        self.tree.mkdir()
        self.run_in(self.folder, *GIT, "init", "--quiet", "--bare", "git")
        listed = self.run_in(ROOT, *GIT, f"--git-dir={self.folder}/git", "--work-tree=.", "ls-files", "-z", "--others",
                             "--exclude-standard")
        names = [name for name in listed.split("\0") if name]
        for name in names:
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            (self.tree / name).write_bytes((ROOT / name).read_bytes())
            (self.tree / name).chmod((ROOT / name).stat().st_mode & 0o777)
        self.run_in(self.tree, *GIT, "init", "--quiet")
        self.run_in(self.tree, *GIT, "add", "--all")
        self.run_in(self.tree, *GIT, "commit", "--quiet", "--message=tree")
        return names

    def test_archive(self):
        """`meson dist` packs every file of the tree, and the archive compiles"""
        names = self.commit()
        self.run_in(self.folder, "meson", "setup", "release", "tree", "--buildtype=plain", "-Dtests=false")
        self.run_in(self.folder, "meson", "dist", "-C", "release", "--no-tests", "--formats=gztar")
        (archive,) = (self.folder / "release" / "meson-dist").glob("qemu-tapctl-*.tar.gz")
        top = archive.name.removesuffix(".tar.gz")
        self.assertIn(f"version: '{top.removeprefix('qemu-tapctl-')}'", (ROOT / "meson.build").read_text("utf-8"))
        with tarfile.open(archive) as packed:
            files = {member.name for member in packed if not member.isdir()}
            packed.extractall(self.folder / "unpacked")
        self.assertEqual(files, {f"{top}/{name}" for name in names})
        self.run_in(self.folder, "meson", "setup", "build", f"unpacked/{top}", "--buildtype=plain", "-Dtests=false")
        self.run_in(self.folder, "ninja", "-C", "build", TARGET)


if __name__ == "__main__":
    unittest.main()
