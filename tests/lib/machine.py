# SPDX-License-Identifier: MIT
"""What machine this is, for pages of results."""

import pathlib
import platform


def processors():
    lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} x {models[0]}" if models else platform.machine()
