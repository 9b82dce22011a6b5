# SPDX-License-Identifier: MIT
"""enter COMMAND [ARG...]: runs COMMAND as root of a scratch host.

The scratch host is a set of private namespaces. They end with their first process, and everything that was
started or configured inside ends with them: that is what lets a test that fails half way leave nothing behind.
A machine where this cannot be done gets an error and status 1, never a silent skip.
"""

import ctypes
import os
import signal
import sys

from tests.lib import furnish

OUTSIDE = "QEMU_TAPCTL_OUTSIDE"
NAMESPACES = ("net", "mnt", "pid", "ipc")
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def namespace_ids():
    return ",".join(os.readlink(f"/proc/self/ns/{kind}") for kind in NAMESPACES)


def fail(text):
    print(f"enter: {text}", file=sys.stderr)
    return 1


def go_inside(command):
    os.environ[OUTSIDE] = namespace_ids()
    argv = ["unshare", "--net", "--mount", "--pid", "--ipc", "--propagation", "private", "--fork", "--kill-child",
            "--mount-proc", sys.executable, "-m", "tests.lib.enter", "--inside", *command]
    # unshare sits out every signal but SIGKILL; --kill-child makes its end that of the scratch host.
    child = start(argv, die_with_parent=True)
    on_termination(lambda: os.kill(child, signal.SIGKILL))
    return end_of(child)


def really_inside():
    """Furnishing the machine itself would be a disaster, so every namespace is compared, not assumed."""
    outside = os.environ.pop(OUTSIDE, "").split(",")
    inside = namespace_ids().split(",")
    return os.getpid() == 1 and len(outside) == len(inside) and not set(outside) & set(inside)


def start(argv, die_with_parent=False):
    child = os.fork()
    if child == 0:
        # A shell starts what runs in its background with these ignored, and everything below would inherit it.
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        if die_with_parent:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            os.execvp(argv[0], argv)
        except OSError as error:
            os._exit(fail(f"cannot start {argv[0]}: {error.strerror}"))
    return child


def on_termination(act):
    """SIGTERM and a lost terminal end us after `act`. An interrupt from the terminal reaches the command too, whose
    status is the answer then."""
    def terminate(number, _):
        act()
        os._exit(128 + number)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, terminate)
    signal.signal(signal.SIGINT, lambda *_: None)


def end_of(child):
    """Inside, the first process inherits every orphan of the scratch host, so all are collected here."""
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def run(command):
    child = start(command)
    # Without a handler no signal reaches the first process of a pid namespace; its end is everybody's.
    on_termination(lambda: None)
    return end_of(child)


def main():
    arguments = sys.argv[1:]
    inside = arguments[:1] == ["--inside"]
    command = arguments[1:] if inside else arguments
    if not command:
        print("usage: enter COMMAND [ARG...]", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        return fail("the scratch host needs root (namespaces, mounts, device nodes): run this as root")
    # A shell got by plain `su` has no sbin on its path, where ip and polkit's programs are.
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    if not inside:
        return go_inside(command)
    if not really_inside():
        return fail("--inside is for enter itself: this process is not in namespaces of its own")
    try:
        furnish.furnish()
    except furnish.CannotFurnish as error:
        return fail(str(error))
    return run(command)


if __name__ == "__main__":
    sys.exit(main())
