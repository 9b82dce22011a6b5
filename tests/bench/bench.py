# SPDX-License-Identifier: MIT
"""bench.py [--quick]: takes all figures on a scratch host and, without --quick, writes RESULTS.md beside this file."""

import datetime
import os
import pathlib
import platform
import subprocess
import sys
import time

from tests.bench import calls, endings, programs
from tests.bench.figures import as_page, as_text
from tests.lib.machine import processors

HERE = pathlib.Path(__file__).resolve().parent

WHAT = [calls.one_call, programs.beside_peers, programs.until_exec, programs.cold_start, calls.growth,
        endings.endings, programs.memory, calls.crowd]
CLIENT = f"{os.environ['QEMU_TAPCTL_BUILD']}/client/qemu-tapctl"
VERSIONS = {"qemu-tapctl": [CLIENT, "--version"], "dbus-daemon": ["dbus-daemon", "--version"],
            "polkit": ["pkaction", "--version"], "iproute2": ["ip", "-V"], "iptables": ["iptables", "--version"],
            "libvirt": ["libvirtd", "--version"], "systemd": ["dpkg-query", "-W", "-f", "${Version}", "libsystemd0"]}


def version(argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return done.stdout.splitlines()[0] if done.stdout else "not installed"


def page(rows, quick, seconds):
    now = datetime.datetime.now(datetime.timezone.utc)
    versions = "; ".join(f"{name}: {version(argv)}" for name, argv in VERSIONS.items())
    return f"""# What a tap costs

Written by `tools/bench{' --quick' if quick else ''}` on {now:%Y-%m-%d %H:%M} UTC in {seconds:.0f} s.
Linux {platform.release()}, {processors()}.
{versions}.

Times are of one machine at one moment. Compare only the ratios, whose times were taken side by side.

{as_page(rows)}
"""


def main():
    quick = sys.argv[1:] == ["--quick"]
    if sys.argv[1:] and not quick:
        print("usage: tools/bench [--quick]", file=sys.stderr)
        return 2
    begun = time.monotonic()
    rows = []
    for what in WHAT:
        for row in what(quick):
            print(as_text(row), flush=True)
            rows.append(row)
    text = page(rows, quick, time.monotonic() - begun)
    if not quick:
        (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    wanted = [row for row in rows if row.limit is not None]
    missed = [row for row in wanted if not row.met()]
    for row in missed:
        print(f"MISSED: {as_text(row).strip()}")
    print(f"\n{len(wanted) - len(missed)} of {len(wanted)} targets met, {time.monotonic() - begun:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
