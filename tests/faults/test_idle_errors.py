# SPDX-License-Identifier: MIT
"""Each system call of what happens when nobody calls fails with each errno in turn (I1, I9). Apart from the requests:
most of the time is waiting for the timeouts."""

from operations import IdleEnd, Leave
from errors import Errors


class Idle(Errors):
    def test_idle_end(self):
        """Point 2: 9 errnos at each system call of a lease's end by its idle timeout (I9)"""
        self.sweep(IdleEnd(), sample=4)


class Leaving(Errors):
    held = ()  # any tap would keep the daemon

    def test_leaving(self):
        """Point 2: 9 errnos at each system call of the daemon's leaving when it is idle (I1)"""
        self.sweep(Leave(), sample=4)
