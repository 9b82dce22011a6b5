# SPDX-License-Identifier: MIT
"""The authorisation matrix: every method and property of the service, called by each kind of caller that polkit
distinguishes, with polkit working and with polkit broken in several ways, about the caller's own lease, another user's
lease and a lease that does not exist (I7)."""

import concurrent.futures
import time
import xml.etree.ElementTree as ElementTree

from tests.system import roots
from tests.system.login import ACTIVE, INACTIVE, NONE, REMOTE
from tests.system.ring import ERROR, NO_LEASE, SystemRing

MANAGER = "org.qemutap1.Manager"
POLICY = "/usr/share/polkit-1/actions/org.qemutap.policy"
LIMIT = 20  # seconds that the service waits for polkit
# The user whose lease is another user's for every caller.
OTHER = roots.SITTER

# The callers: the user and the kind of its login.
CALLERS = {"root": ("root", NONE), "active": ("alice", ACTIVE), "inactive": ("bob", INACTIVE),
           "remote": ("carol", REMOTE), "no login": ("dave", NONE), "member": ("erin", NONE)}
MEMBER = "erin"

# A column for each member of the interface and each kind of lease that the call can be about.
COLUMNS = [("Acquire", ""), ("Release", "own"), ("Release", "other's"), ("Release", "no such"), ("List", "own"),
           ("List", "all"), ("Version", ""), ("Pool", ""), ("PrefixLength", ""), ("Features", "")]
METHODS = {"Acquire", "Release", "List"}
READABLE = "yes yes yes yes"

# The answer to each caller: `yes`, or the last word of the error's name.
AS_USUAL = {
    "root": f"yes yes yes NoSuchLease yes yes {READABLE}",
    "active": f"yes yes NoSuchLease NoSuchLease yes NotAuthorized {READABLE}",
    "inactive": f"NotAuthorized NotAuthorized NoSuchLease NoSuchLease yes NotAuthorized {READABLE}",
    "remote": f"NotAuthorized NotAuthorized NoSuchLease NoSuchLease yes NotAuthorized {READABLE}",
    "no login": f"NotAuthorized NotAuthorized NoSuchLease NoSuchLease yes NotAuthorized {READABLE}",
    "member": f"yes yes NoSuchLease NoSuchLease yes NotAuthorized {READABLE}",
}
# If polkit must be asked and cannot be, the error differs from polkit's refusal. The service never asks it about root.
UNASKED = "AuthorityUnavailable " * 4 + f"yes AuthorityUnavailable {READABLE}"
WITHOUT_POLKIT = {**{caller: UNASKED for caller in CALLERS}, "root": AS_USUAL["root"]}


def table(title, rows):
    """Return a text with a row for each caller and the members as heads of the columns."""
    cells = [[title, *(member for member, _ in COLUMNS)], ["", *(lease for _, lease in COLUMNS)]]
    cells += [[caller, *words] for caller, words in rows.items()]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    return "\n".join(lines)


def question(member, lease, own, other):
    """Return the call of a column."""
    if member == "Acquire":
        return [member, "ua{sv}", [1, {"hold": ["s", "name"]}]]
    if member == "Release":
        return [member, "s", [{"own": own, "other's": other, "no such": NO_LEASE}[lease]]]
    if member == "List":
        return [member, "a{sv}", [{"all": ["b", lease == "all"]}]]
    return ["org.freedesktop.DBus.Properties.Get", "ss", [MANAGER, member]]


class Matrix(SystemRing):
    def lease_of(self, user):
        return self.call(user, "Acquire", "ua{sv}", 1, {"hold": ["s", "name"]})[0]

    def prepare(self):
        """Acquire for each caller a lease of its own and one of another user. For that every caller is in the group at
        first."""
        self.container.set_members(OTHER, *(user for user, _ in CALLERS.values() if user != "root"))
        leases = {caller: (self.lease_of(user), self.lease_of(OTHER)) for caller, (user, _) in CALLERS.items()}
        self.container.set_members(MEMBER)
        # Open the logins now, because no user can log in while polkit does not run.
        for user, kind in CALLERS.values():
            self.container.login(user, kind).settle()
        return leases

    def word(self, caller, column, outcome):
        if outcome["error"]:
            return outcome["error"].removeprefix(ERROR)
        member, lease = column
        values = outcome["values"]
        if (member, lease) == ("List", "own"):
            uid = roots.USERS.get(CALLERS[caller][0], 0)
            return "yes" if {entry["uid"] for entry in values[0]} <= {uid} else "others' leases"
        if member not in METHODS and not values[0]:
            return "nothing"
        return "yes"

    def row(self, caller, leases, before_each=None, together=False):
        """Return the answers to the caller, one word for each column."""
        user, kind = CALLERS[caller]
        questions = [question(*column, *leases[caller]) for column in COLUMNS]
        if before_each is None:
            outcomes = self.calls(user, *questions, login=kind, together=together)
        else:
            outcomes = []
            for one in questions:
                before_each()
                outcomes += self.calls(user, one, login=kind)
        return [self.word(caller, column, outcome) for column, outcome in zip(COLUMNS, outcomes)]

    def compare(self, title, rows, specified):
        """Show the whole table, and require that each cell is as specified."""
        self.shows = table(title, rows)
        wrong = [f"{caller}, {' '.join(column)}: {word}, specified: {wanted}"
                 for caller, words in rows.items()
                 for column, word, wanted in zip(COLUMNS, words, specified[caller].split(), strict=True)
                 if word != wanted]
        self.assertEqual(wrong, [], "\n" + self.shows)

    def assert_done(self, rows, leases):
        """Require that the answers are true: leases were released and given as answered, and no others."""
        left = {entry["lease"] for entry in self.call("root", "List", "a{sv}", {"all": ["b", True]})[0]}
        for caller, (own, other) in leases.items():
            cells = dict(zip(COLUMNS, rows[caller]))
            self.assertEqual(own in left, cells["Release", "own"] != "yes", f"{caller}'s own lease")
            self.assertEqual(other in left, cells["Release", "other's"] != "yes", f"another user's lease, for {caller}")
        known = {lease for pair in leases.values() for lease in pair}
        given = sum(words[COLUMNS.index(("Acquire", ""))] == "yes" for words in rows.values())
        self.assertEqual(len(left - known), given, "leases given")

    def matrix(self, title, specified, **how):
        leases = self.prepare()
        rows = {caller: self.row(caller, leases, **how) for caller in CALLERS}
        self.compare(title, rows, specified)
        self.assert_done(rows, leases)

    def test_every_member_has_a_cell(self):
        """Every method and property of the interface has a cell in the matrix."""
        done = self.container.root("busctl", "introspect", "--xml-interface", "org.qemutap1", "/org/qemutap1")
        document = ElementTree.fromstring(done.out)
        (interface,) = [entry for entry in document.iter("interface") if entry.get("name") == MANAGER]
        self.assertEqual({entry.get("name") for entry in interface.iter("method")}, METHODS)
        members = {entry.get("name") for entry in interface if entry.tag in ("method", "property", "signal")}
        self.assertEqual(members, {member for member, _ in COLUMNS})
        readable = {entry.get("access") for entry in interface.iter("property")}
        self.assertEqual(readable, {"read"}, "a property that can be written needs a column of its own")

    def test_polkit_running(self):
        """With polkit each caller may do exactly what is specified on each kind of lease, and the answers are true."""
        self.matrix("polkit runs", AS_USUAL)

    def test_polkit_stopped(self):
        """A call starts a stopped polkit, and the answers are as with a running one."""
        def stop():
            self.container.root("systemctl", "stop", "polkit.service")
        self.matrix("polkit stopped", AS_USUAL, before_each=stop)

    def test_polkit_masked(self):
        """Without polkit every user but root is refused with AuthorityUnavailable, and nothing changes."""
        leases = self.prepare()
        self.container.root("systemctl", "mask", "--runtime", "--now", "polkit.service")
        rows = {caller: self.row(caller, leases) for caller in CALLERS}
        self.compare("polkit masked", rows, WITHOUT_POLKIT)
        self.assert_done(rows, leases)

    def test_polkit_hung(self):
        """A polkit that hangs is treated as a missing one after 20 s, and other callers do not wait for it."""
        leases = self.prepare()
        self.container.root("systemctl", "kill", "--signal=STOP", "polkit.service")
        self.addCleanup(self.container.root, "systemctl", "restart", "polkit.service")
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(len(CALLERS)) as pool:
            asked = {caller: pool.submit(self.row, caller, leases, together=True) for caller in CALLERS}
            # When root is answered, each other caller has had a question open at polkit for some time.
            self.container.ctl("root", "list")
            self.assertEqual([caller for caller, answer in asked.items() if caller != "root" and answer.done()], [])
            rows = {caller: answer.result() for caller, answer in asked.items()}
        self.assertGreaterEqual(time.monotonic() - start, LIMIT, "the wait was shorter than the limit for polkit")
        self.compare("polkit hung", rows, WITHOUT_POLKIT)
        self.assert_done(rows, leases)

    def test_policy_missing(self):
        """If polkit does not know the action, every user but root is refused with AuthorityUnavailable."""
        leases = self.prepare()
        self.container.root("mv", POLICY, f"{POLICY}.away")
        self.addCleanup(self.container.root, "systemctl", "restart", "polkit.service")
        self.addCleanup(self.container.root, "mv", f"{POLICY}.away", POLICY)
        self.container.root("systemctl", "restart", "polkit.service")
        rows = {caller: self.row(caller, leases) for caller in CALLERS}
        self.compare("policy missing", rows, WITHOUT_POLKIT)
        self.assert_done(rows, leases)
