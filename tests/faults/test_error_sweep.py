# SPDX-License-Identifier: MIT
"""Each system call of a request, and of a start, fails with each of nine errnos in turn (I5, I9). The sweep of Acquire
covers both holds, 1 and 3 taps, and 1 and 2 queues."""

import pytest

from tests.faults.errors import Errors
from tests.faults.operations import ACQUIRES, Release, Start

pytestmark = pytest.mark.early


class Requests(Errors):
    def test_acquire(self):
        """Point 2: an errno from any system call of Acquire leads to a whole lease or to a named error (I5, I9)."""
        self.sweep(*ACQUIRES, sample=25)

    def test_release(self):
        """Point 2: an errno from any system call of Release leaves a whole lease or none, as it answered (I9)."""
        self.sweep(Release(), sample=25)

    def test_start(self):
        """Point 2: an errno from any system call of a start loses no lease, and half a lease is removed (I1)."""
        self.sweep(Start(), sample=25)
