# SPDX-License-Identifier: MIT
"""Each system call at an idle timeout, and of the idle exit, fails with each of nine errnos in turn (I1, I9).
These tests are apart from those of the requests because they mostly wait for timeouts."""

import pytest

from tests.faults.errors import Errors
from tests.faults.operations import IdleEnd, Leave

pytestmark = pytest.mark.early


class Idle(Errors):
    def test_idle_end(self):
        """Point 2: an errno from any system call at an idle timeout leaves no part of a lease (I9)."""
        self.sweep(IdleEnd(), sample=4)


class Leaving(Errors):
    held = ()  # the daemon does not exit while there is a tap

    def test_leaving(self):
        """Point 2: an errno from any system call of the idle exit leaves no trace (I1)."""
        self.sweep(Leave(), sample=4)
