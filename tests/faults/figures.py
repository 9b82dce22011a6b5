# SPDX-License-Identifier: MIT
"""The form of a run of the faults ring, short or full, and a test's figures as one line of the table of results. This
is a module of its own because some tests of the ring run in a booted Debian and not on a scratch host."""

import os

FULL = os.environ.get("QEMU_TAPCTL_FAULTS") == "full"


def rounds(short, full):
    """Return how often to repeat something: the short form is for every change, the full form is the proof."""
    return full if FULL else short


class Figures:
    """Shows a promise as a number: each test counts what happened, shows the counts, and requires some to be zero."""

    def show(self, **figures):
        """Record the counts. Call this before any assertion, so that a failed test shows its figures too."""
        self.shows = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
