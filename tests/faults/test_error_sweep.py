# SPDX-License-Identifier: MIT
"""Each system call of a request, and of a start, fails with each errno in turn (I5, I9)."""

from operations import ACQUIRES, Release, Start
from errors import Errors


class Requests(Errors):
    def test_acquire(self):
        """Point 2: 9 errnos at each system call of Acquire (both holds, 1 and 3 taps, 1 and 2 queues) (I5, I9)"""
        self.sweep(*ACQUIRES, sample=25)

    def test_release(self):
        """Point 2: 9 errnos at each system call of Release (I9)"""
        self.sweep(Release(), sample=25)

    def test_start(self):
        """Point 2: 9 errnos at each system call of a start with leases there, and half of one (I1)"""
        self.sweep(Start(), sample=25)
