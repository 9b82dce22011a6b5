# SPDX-License-Identifier: MIT
"""write_results RESULTS FORM: writes the figures of a run of the faults ring as a Markdown page to stdout. It reads
them from RESULTS, the JUnit file that pytest writes. FORM is the form of the run, `short` or `full`. The page is evidence:
it lists a failed test as failed, and its only source is the run."""

import datetime
import pathlib
import platform
import re
import sys
from xml.etree import ElementTree

from tests.lib.machine import processors

CLAIM = re.compile(r"Point (?P<point>\d+): (?P<proves>.*)", re.DOTALL)
COMMANDS = {"short": "tools/check faults", "full": "tools/check faults --full"}


def rows_of(results):
    """Yield (point, claim, figures, outcome, seconds) for each test whose docstring names a point."""
    for case in ElementTree.parse(results).iter("testcase"):
        properties = {entry.get("name"): entry.get("value") for entry in case.iter("property")}
        claim = CLAIM.match(properties.get("claim", ""))
        if not claim:
            continue
        failed = any(child.tag in ("failure", "error", "skipped") for child in case)
        yield (int(claim["point"]), claim["proves"], properties.get("shows", ""), "FAILED" if failed else "passed",
               float(case.get("time")))


def cell(text):
    return " ".join(text.split()).replace("|", "\\|")


def main():
    results, form = sys.argv[1:]
    rows = sorted(rows_of(results))
    now = datetime.datetime.now(datetime.timezone.utc)
    release = pathlib.Path("/etc/debian_version").read_text(encoding="ascii").strip()
    print("# What the ring `faults` counted\n")
    print(f"Written by `{COMMANDS[form]}` on {now:%Y-%m-%d %H:%M} UTC. Linux {platform.release()}, Debian {release}, "
          f"{processors()}. The numbers of the points are those of the promises in `tests/faults/README.md`.\n")
    print("| point | what was tried | counted | outcome | seconds |")
    print("|---|---|---|---|---|")
    for point, proves, figures, outcome, seconds in rows:
        print(f"| {point} | {cell(proves)} | {cell(figures)} | {outcome} | {seconds:.0f} |")
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
