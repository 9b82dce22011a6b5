# SPDX-License-Identifier: MIT
"""Times, their statistics, and the table of them. Each statement about speed is a ratio of times that were taken side
by side in one run, because a time alone says nothing about another machine or about another moment on this one."""

import dataclasses
import math
import statistics


def median(times):
    return statistics.median(times)


def p99(times):
    """Return the least time that 99 of 100 do not exceed."""
    return sorted(times)[math.ceil(len(times) * 0.99) - 1]


@dataclasses.dataclass
class Row:
    """A line of the table. With a `limit`, `value` must be at most that, or at least that if `least` is set. A line
    without a limit is there for comparison."""

    point: int
    what: str
    figures: str
    value: float = None
    limit: float = None
    unit: str = ""
    least: bool = False

    def met(self):
        return self.limit is None or (self.value >= self.limit if self.least else self.value <= self.limit)

    def cells(self):
        if self.limit is None:
            return [str(self.point), self.what, self.figures, "", ""]
        ratio = f"{number(self.value)}{self.unit}"
        wanted = f"{'≥' if self.least else '≤'} {number(self.limit)}{self.unit}"
        return [str(self.point), self.what, self.figures, ratio, f"{wanted} {'met' if self.met() else 'MISSED'}"]


def number(value):
    return f"{value:.2f}".rstrip("0").rstrip(".") if value < 100 else f"{value:.0f}"


def spread(times, scale=1, unit="ms"):
    """Return the median, the p99 and the count of the times as text."""
    return f"median {number(median(times) * scale)} {unit}, p99 {number(p99(times) * scale)} {unit} of {len(times)}"


HEAD = ["point", "what", "figures", "ratio or value", "target"]


def as_page(rows):
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def as_text(row):
    point, what, figures, ratio, target = row.cells()
    verdict = f"   {ratio} ({target})" if target else ""
    return f"  {point}  {what}: {figures}{verdict}"
