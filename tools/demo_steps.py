#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The steps of the demonstration on the scratch host that tests/enter creates. It starts a private system bus,
polkitd and the daemon. alice, an ordinary user in the group qemu-tap, runs all other programs."""

import os
import pathlib
import subprocess
import sys
import threading
import time

from tests.lib import kernel, users
from tests.lib.host import Host

IMAGES = pathlib.Path(os.environ.get("QEMU_TAPCTL_CACHE") or "/var/cache/qemu-tapctl") / "guest/cloud"
BOOT_SECONDS = 90
BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


def say(text):
    print(f"\n{BOLD}== {text}{PLAIN}", flush=True)


def show(host, *arguments):
    """Prints a command of alice's, runs it, and prints its output."""
    print(f"{BOLD}alice$ qemu-tapctl {' '.join(arguments)}{PLAIN}", flush=True)
    done = host.ctl("alice", *arguments)
    print(done.out + done.err, end="", flush=True)
    if done.status != 0:
        raise SystemExit(f"demo: that should have worked, but ended with status {done.status}")
    return done.out


class BootClock:
    """Prints the seconds since QEMU's start while the guest is silent."""

    def __init__(self):
        self.started = time.monotonic()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._report, daemon=True)
        self.thread.start()

    def seconds(self):
        return time.monotonic() - self.started

    def _report(self):
        while not self.over.wait(2):
            print(f"  ... {self.seconds():.0f} s since QEMU's start", flush=True)

    def stop(self):
        self.over.set()
        self.thread.join()


def boot(host):
    """Runs a guest with two NICs and returns its lines."""
    qemu = ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "256", "-nodefaults", "-no-user-config", "-display",
            "none", "-serial", "stdio", "-no-reboot", "-kernel", host.share(str(IMAGES / "vmlinuz")),
            "-initrd", host.share(str(IMAGES / "initrd")), "-append", "console=ttyS0 quiet guest.interval=0.2"]
    print(f"{BOLD}alice$ qemu-tapctl run --count 2 -- {' '.join(qemu[:1])} ... -kernel vmlinuz -initrd initrd "
          f"-append '{qemu[-1]}'{PLAIN}", flush=True)
    clock = BootClock()
    lines = []
    guest = host.ctl_start("alice", "run", "--count", "2", "--", *qemu, stderr=subprocess.STDOUT)
    # A guest that hangs must not hang the demonstration.
    limit = threading.Timer(BOOT_SECONDS, guest.kill)
    limit.start()
    try:
        for line in guest.stdout:
            text = "".join(c for c in line.decode(errors="replace").strip() if c.isprintable())
            if "GUEST-" in text or text.startswith("qemu"):
                lines.append(text[max(text.find("GUEST-"), 0):])
                print(f"  {clock.seconds():4.1f} s  {lines[-1]}", flush=True)
        guest.wait()
    finally:
        limit.cancel()
        guest.kill()
        guest.wait()
        clock.stop()
    return lines


def main():
    started = time.monotonic()
    with Host() as host:
        say("A private system bus, polkitd and qemu-tapd, with the shipped policies")
        host.programs()
        host.start_bus()
        host.start_polkit()
        users.set_members("alice")
        daemon = host.start_daemon()
        print(daemon.log(), end="")
        say("Two taps for a QEMU that alice starts herself")
        show(host, "up", "--count", "2", "--label", "demo")
        show(host, "list")
        show(host, "down", "demo")
        host.no_trace()
        print("no device, address or route is left")
        say("A guest with two NICs, started by the client: boots, reads its ip=, pings both gateways")
        lines = boot(host)
        kernel.wait_for(lambda: not kernel.ours(), 2, "the taps of the ended guest are gone")
        host.no_trace()
        pinged = [line for line in lines if line.startswith("GUEST-PING ") and line.endswith("sent=3 received=3")]
        worked = "GUEST-DONE ok" in lines and len(pinged) == 2
    say("Summary")
    print(f"two NICs configured from ip= and both gateways pinged: {'yes' if worked else 'NO'}")
    print("left behind on the scratch host after QEMU's end: nothing")
    print(f"typed as root by alice: nothing; time without the build: {time.monotonic() - started:.0f} s")
    return 0 if worked else 1


if __name__ == "__main__":
    sys.exit(main())
