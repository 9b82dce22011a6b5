# SPDX-License-Identifier: MIT
"""Where the tests of each folder run: the table from which the plug-ins of pytest take it."""

import os
import pathlib
from typing import NamedTuple

TREE = pathlib.Path(__file__).resolve().parent.parent.parent
RELEASES = ("bookworm", "trixie")


class Place(NamedTuple):
    root: bool = True
    # Each module has a scratch host of its own.
    scratch_host: bool = False
    # Modules run beside each other, unless a module has the mark `alone`.
    parallel: bool = True
    # Each module runs once for each of these releases of Debian, which it finds in QEMU_TAPCTL_RELEASE.
    releases: tuple = ()
    # The seconds that one test may take. A test that hangs is a failed test; the longest one needs guests to boot, on a
    # machine with other work.
    limit: int = 300


# The longest path that fits a file counts.
PLACES = {
    "": Place(root=False),
    "tests/unit": Place(root=False),
    "tests/kernel": Place(parallel=False),
    "tests/bus": Place(scratch_host=True),
    "tests/guest": Place(scratch_host=True),
    "tests/faults": Place(scratch_host=True),
    "tests/faults/test_watchdog.py": Place(releases=("trixie",), parallel=False),
    "tests/system": Place(releases=RELEASES),
    "tests/system/test_roots.py": Place(),
}


def place_of(node):
    """QEMU_TAPCTL_TEST_LIMIT and QEMU_TAPCTL_RELEASE override the table."""
    name = node.path.relative_to(TREE).as_posix() if node.path.is_relative_to(TREE) else ""
    place = PLACES[max((start for start in PLACES if name.startswith(start)), key=len)]
    release, limit = os.environ.get("QEMU_TAPCTL_RELEASE"), os.environ.get("QEMU_TAPCTL_TEST_LIMIT")
    if place.releases and release:
        place = place._replace(releases=(release,))
    return place._replace(limit=int(limit)) if limit else place
