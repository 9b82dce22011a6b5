# SPDX-License-Identifier: MIT
"""How far a run of the faults ring goes, and a test's figures as one line, from which the table of results is made.
Apart from the ring itself, because some of its modules need a booted Debian and not a scratch host."""

import os

FULL = os.environ.get("QEMU_TAPCTL_FAULTS") == "full"


def rounds(short, full):
    """How often something is tried: a short run is for every change, a full one for the proof."""
    return full if FULL else short


class Figures:
    """A promise as a number: each test counts what happened, shows it, and demands what must be zero."""

    def show(self, **figures):
        """What was counted, before anything is demanded of it: a failed test shows its figures too."""
        self.shows = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
