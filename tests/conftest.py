# SPDX-License-Identifier: MIT
"""What pytest is here: a claim for each test, a process and where needed a scratch host for each module, and compiled
tests among the others."""

pytest_plugins = ("tests.lib.claims", "tests.lib.modules", "tests.lib.compiled")
