# SPDX-License-Identifier: MIT
"""Reports of tests that no pytest has run: results of compiled programs, and tests whose process did not come to them."""

import pytest


def reports_of(node, outcome, text=None, nodeid=None, seconds=0.0):
    """The two reports that make a test: that of its call, with the text of a failure, and that of its end."""
    nodeid = nodeid or node.nodeid
    place = (node.path.as_posix(), 0, nodeid)
    return [pytest.TestReport(nodeid, place, {}, outcome, text, "call", duration=seconds),
            pytest.TestReport(nodeid, place, {}, "passed", None, "teardown")]
