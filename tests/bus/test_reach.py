# SPDX-License-Identifier: MIT
"""The words that `run` adds reach the QEMU that a script starts, even if the script opens descriptors of its own.
Otherwise `run` refuses or warns."""

import subprocess

from tests.bus.ring import HERE, BusRing, StandIn, kernel_cmdline
from tests.lib import kernel

FIRST_NUMBER = 800


class Reach(BusRing):
    def script(self, text, *options):
        """Starts a stand-in for QEMU through the script."""
        program = self.host.share(f"{HERE}/stand_in.py")
        popen = self.host.ctl_start("alice", "run", *options, "--", "bash", "-c", text.format(qemu=program), "script",
                                    stdin=subprocess.PIPE)
        self.addCleanup(self._end, popen)
        return StandIn(popen)

    def test_descriptors_of_scripts(self):
        """A script that uses the descriptor numbers of flock(1)'s examples leaves the taps' descriptors alone."""
        lock = "/tmp/lock"
        holder = self.script(f'exec 9>{lock} 200>{lock} 100>{lock}; flock -n 9; exec {{qemu}} "$@"', "--count", "2")
        names = [holder.open[fd]["tap"]["name"] for netdev in (0, 1) for fd in holder.fds(netdev)]
        self.assertEqual(names, ["tap8", "tap9"])
        self.assertEqual(holder.fds(0) + holder.fds(1), [FIRST_NUMBER, FIRST_NUMBER + 1])
        self.assertEqual(holder.end(), 0)
        self.host.no_trace()

    def test_few_descriptors_allowed(self):
        """Under a low limit on open files the taps' descriptors have the highest numbers that it allows."""
        program = self.host.share(f"{HERE}/stand_in.py")
        script = f"ulimit -n 128; exec qemu-tapctl run --count 2 -- {program}"
        popen = self.host.start("alice", "sh", "-c", script, stdin=subprocess.PIPE)
        self.addCleanup(self._end, popen)
        holder = StandIn(popen)
        self.assertEqual(holder.fds(0) + holder.fds(1), [126, 127])
        self.assertEqual([holder.open[fd]["tap"]["name"] for fd in (126, 127)], ["tap8", "tap9"])

    def test_lost_in_script(self):
        """A script that starts QEMU without its arguments is refused before anything is made."""
        for script in ("cd / && qemu-system-x86_64 -m 64", 'exec qemu-system-x86_64 "$@"'):
            with self.subTest(script=script):
                self.assert_refused(self.ctl("alice", "run", "--", "sh", "-c", script), 2, '"$@"', "{fds0}")
        self.assertEqual(self.host.daemon.log().count("given:"), 0)
        self.host.no_trace()

    def test_lost_otherwise(self):
        """A script that uses no arguments, and may need no tap, is started with a warning of one line."""
        for hold in ("fd", "name"):
            done = self.ctl("alice", "run", "--hold", hold, "--", "sh", "-c", "exit 7")
            self.assertEqual(done.status, 7)
            self.assertRegex(done.err, r"\Aqemu-tapctl: [^\n]+ behind the script of sh -c [^\n]+\n\Z")
        self.host.no_trace()

    def test_placeholders_without_tap(self):
        """Placeholders that name no tap, or not every tap, are refused: nothing would be added to such a command."""
        refused = (("nfsroot={gateway0}:/srv {cmdline}", ()), ("{mac0}", ()), ("{fds0}", ("--count", "2")))
        for word, options in refused:
            with self.subTest(word=word):
                number = 1 if options else 0
                self.assert_refused(self.ctl("alice", "run", *options, "--", "true", word), 2, f"tap {number}",
                                    f"{{fds{number}}}")
        self.ok("alice", "run", "--count", "2", "--", "true", "{lease}")
        self.host.no_trace()

    def test_kernel_in_script(self):
        """If -kernel is hidden in a script no ip= is added, and a line on stderr shows the one that the guest needs."""
        holder = self.script('exec {qemu} -kernel bzImage "$@"')
        (lease,) = self.leases("alice")
        holder.end()
        self.assertEqual(holder.popen.stderr.read().decode(),
                         "qemu-tapctl: no -kernel is in the command, so no ip= was added; the guest would need "
                         f"{kernel_cmdline(lease['taps'])}\n")
        kernel.wait_for(lambda: not kernel.ours(), "the lease ends with its holder")
