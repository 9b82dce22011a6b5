# SPDX-License-Identifier: MIT
"""The scratch host's services, in the hands of a test: the system bus, polkitd and the daemon, started, frozen,
killed and started again, and programs run as its users. Everything shipped (bus policy, polkit actions and rule,
both programs) is the project's own, copied or mounted from the tree and the build directory."""

import os
import select
import shutil
import socket
import subprocess

from tests.lib import furnish, kernel, users
from tests.lib.bus import Connection
from tests.lib.process import HANGS, Process

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("QEMU_TAPCTL_BUILD") or os.path.join(TREE, "build")
BUS_POLICY = f"{furnish.RIG}/bus-policy.d"
BIN = f"{furnish.RIG}/bin"
SHARE = f"{furnish.RIG}/share"
# Where every user finds programs; that of whoever runs the tests may name folders that are his alone.
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
NOTIFY = f"{furnish.RIG}/notify"
POLKIT_NAME = "org.freedesktop.PolicyKit1"
DAEMON_NAME = "org.qemutap1"

# The rules of Debian's system bus: nobody may own a name or call a method unless a file in the directory says so.
BUS_CONFIGURATION = f"""<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <auth>EXTERNAL</auth>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"
          send_member="UpdateActivationEnvironment"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>
  <includedir>{BUS_POLICY}</includedir>
</busconfig>
"""


class Done:
    """What a finished program left: its status and its two texts (bytes that are not UTF-8 survive as escapes)."""

    def __init__(self, status, out, err):
        self.status = status
        self.out = out
        self.err = err

    def __repr__(self):
        return f"status {self.status}, stdout {self.out!r}, stderr {self.err!r}"


def program_environment(user):
    """A login's environment. Of the surrounding one only what steers sanitizers is kept; coverage counts of a
    user's process go where that user can write."""
    home = "/root" if user == "root" else f"{users.HOMES}/{user}"
    kept = {name: text for name, text in os.environ.items() if name.endswith("SAN_OPTIONS")}
    return {"PATH": f"{BIN}:{SYSTEM_PATH}", "HOME": home, "USER": user,
            "LOGNAME": user, "LANG": "C.UTF-8", "GCOV_PREFIX": f"{furnish.RIG}/coverage", **kept}


def identity(user):
    """The arguments that make subprocess become that user, with the groups /etc/group gives at this moment."""
    if user == "root":
        return {}
    uid = users.USERS[user]
    return {"user": uid, "group": uid, "extra_groups": os.getgrouplist(user, uid)}


class Host:
    """One scratch host's services. Use it with `with`, or call close()."""

    def __init__(self, source=TREE, build=BUILD):
        if not os.path.isdir(furnish.ACTIONS):
            raise RuntimeError("not on a scratch host: run it with pytest or tests/enter as root")
        self.source = source
        self.build = build
        self.bus = self.polkit = self.daemon = None
        self.shared = {}
        for path in (BUS_POLICY, BIN, SHARE):
            os.makedirs(path, exist_ok=True)
        os.makedirs(f"{furnish.RIG}/coverage", exist_ok=True)
        os.chmod(f"{furnish.RIG}/coverage", 0o1777)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if os.path.exists(NOTIFY):
            os.unlink(NOTIFY)
        self.notify.bind(NOTIFY)
        os.chmod(NOTIFY, 0o777)  # as systemd's own: the service is not root when it is ready
        self.baseline = kernel.snapshot()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in (self.daemon, self.polkit, self.bus):
            if process:
                process.close()
        self.bus = self.polkit = self.daemon = None

    # Programs and files

    def share(self, path, name=None):
        """Makes a file of the tree or the build readable by every user, also when the tree lies in a private
        home, and returns its new path."""
        # Looked at once: a build that runs meanwhile does not change what is tested half way.
        if (path, name) not in self.shared:
            if not os.path.exists(path):
                raise RuntimeError(f"{path} does not exist: build first (meson compile -C {self.build})")
            target = f"{BIN if os.access(path, os.X_OK) else SHARE}/{name or os.path.basename(path)}"
            if not os.path.ismount(target):
                with open(target, "ab"):
                    pass
                subprocess.run(["mount", "--bind", path, target], check=True)
            self.shared[path, name] = target
        return self.shared[path, name]

    def programs(self):
        """Both programs under their usual names on every user's path."""
        self.share(f"{self.build}/daemon/qemu-tapd")
        self.share(f"{self.build}/client/qemu-tapctl")

    # The bus

    def start_bus(self):
        shutil.copy(f"{self.source}/dbus/org.qemutap1.conf", BUS_POLICY)
        shutil.copy("/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf", BUS_POLICY)
        configuration = f"{furnish.RIG}/bus.conf"
        with open(configuration, "w", encoding="ascii") as file:
            file.write(BUS_CONFIGURATION)
        reader, writer = os.pipe()
        self.bus = Process(["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile",
                            f"--print-address={writer}"], f"{furnish.RIG}/bus.log", pass_fds=[writer])
        os.close(writer)
        # dbus-daemon tells its address once it listens; a pipe that ends instead means that it could not start.
        with os.fdopen(reader) as pipe:
            if not pipe.readline().strip():
                raise RuntimeError(f"dbus-daemon did not start: {self.bus.log()}")

    def stop_bus(self):
        self.bus.close()
        self.bus = None

    def connect(self, user="root", **how):
        return Connection(user, **how)

    # polkit

    def start_polkit(self, extra_rules=None):
        """The real polkitd with the shipped actions and rule; `extra_rules` is JavaScript asked before them."""
        shutil.copy(f"{self.source}/polkit/org.qemutap.policy", furnish.ACTIONS)
        shutil.copy(f"{self.source}/polkit/50-org.qemutap.rules", furnish.RULES)
        extra = "/etc/polkit-1/rules.d/10-test.rules"
        if extra_rules:
            with open(extra, "w", encoding="utf-8") as file:
                file.write(extra_rules)
        elif os.path.exists(extra):
            os.unlink(extra)
        self.polkit = Process(["/usr/lib/polkit-1/polkitd", "--no-debug"], f"{furnish.RIG}/polkit.log")
        with self.connect() as bus:
            bus.wait_for_owner(POLKIT_NAME)

    def stop_polkit(self):
        self.polkit.close()
        self.polkit = None
        with self.connect() as bus:
            bus.wait_for_owner(POLKIT_NAME, present=False)

    # The daemon

    def daemon_command(self, *options):
        if not any(option.startswith("--runqemu-locks") for option in options):
            options = (f"--runqemu-locks={furnish.RUNQEMU_LOCKS}", *options)
        return [self.share(f"{self.build}/daemon/qemu-tapd"), *options]

    def start_daemon(self, *options, environment=None, under=()):
        """Starts it, `under` a program that becomes it, and returns when it says READY=1, as its unit would wait. Here
        nobody starts one that left for want of calls, so it stays unless a test says otherwise."""
        if not any(option.startswith("--idle-exit") for option in options):
            options = (*options, "--idle-exit=0")
        while select.select([self.notify], [], [], 0)[0]:
            self.notify.recv(4096)
        surroundings = {**program_environment("root"), "NOTIFY_SOCKET": NOTIFY, **(environment or {})}
        command = [*under, *self.daemon_command(*options)]
        self.daemon = Process(command, f"{furnish.RIG}/daemon.log", env=surroundings)
        while True:
            ready, _, _ = select.select([self.notify, self.daemon.pidfd], [], [], HANGS)
            if self.notify in ready:
                if "READY=1" in self.notify.recv(4096).decode().splitlines():
                    return self.daemon
            elif self.daemon.pidfd in ready:
                status = self.daemon.wait()
                raise RuntimeError(f"the daemon ended with {status} before it was ready: {self.daemon.log()}")
            else:
                raise RuntimeError(f"the daemon was not ready within {HANGS} s: {self.daemon.log()}")

    def stop_daemon(self):
        """However it is now, it is gone afterwards; leases stay."""
        if self.daemon:
            self.daemon.close()
            self.daemon = None
            if self.bus:
                with self.connect() as bus:
                    bus.wait_for_owner(DAEMON_NAME, present=False)

    def restart_daemon(self, *options):
        self.stop_daemon()
        return self.start_daemon(*options)

    def failing_daemon(self, *options):
        """Runs a daemon that is expected to refuse its options."""
        done = subprocess.run(self.daemon_command(*options), env=program_environment("root"), timeout=HANGS,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="surrogateescape",
                              check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    # Callers

    def start(self, user, *argv, **options):
        """Starts a program as a user, in that user's environment."""
        environment = {**program_environment(user), **options.pop("environment", {})}
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                    "cwd": environment["HOME"], **options}
        return subprocess.Popen(argv, env=environment, **identity(user), **settings)

    def run(self, user, *argv, timeout=HANGS, **options):
        with self.start(user, *argv, **options) as popen:
            try:
                out, err = popen.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                popen.kill()
                raise
        return Done(popen.returncode, (out or b"").decode(errors="surrogateescape"),
                    (err or b"").decode(errors="surrogateescape"))

    def ctl(self, user, *arguments, **options):
        """The client, as a user would run it."""
        return self.run(user, self.share(f"{self.build}/client/qemu-tapctl"), *arguments, **options)

    def ctl_start(self, user, *arguments, **options):
        return self.start(user, self.share(f"{self.build}/client/qemu-tapctl"), *arguments, **options)

    def busctl(self, user, *arguments, **options):
        return self.run(user, "busctl", "--system", *arguments, **options)

    # The kernel

    def mark(self):
        """From now on the present state is what no_trace() expects: for tests that place devices of others."""
        self.baseline = kernel.snapshot()

    def no_trace(self):
        """Fails unless links, addresses and routes are exactly what they were at the last mark()."""
        found = kernel.differences(self.baseline, kernel.snapshot())
        found += [f"carries our alias: {name}" for name in kernel.ours()]
        if found:
            raise AssertionError("a trace was left: " + "; ".join(found))

    def sweep(self):
        """Clears the host after a test, whatever the test and the daemon left: every link but lo, every route."""
        for name in kernel.links():
            if name != "lo":
                kernel.ip("link", "delete", name)
        kernel.ip("-4", "address", "flush", "dev", "lo", "scope", "global")
        for table in ("main", "default", *map(str, range(100, 110))):
            subprocess.run(["ip", "-4", "route", "flush", "table", table], stderr=subprocess.DEVNULL, check=False)
        self.mark()
