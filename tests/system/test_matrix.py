# SPDX-License-Identifier: MIT
"""The authorisation matrix: every method and property of the service, called by everybody whom polkit tells apart and
under everything that can be wrong with polkit, on one's own lease, another's and none (I7)."""

import concurrent.futures
import time
import xml.etree.ElementTree as ElementTree

import roots
from login import ACTIVE, INACTIVE, NONE, REMOTE
from ring import ERROR, NO_LEASE, SystemRing

MANAGER = "org.qemutap1.Manager"
POLICY = "/usr/share/polkit-1/actions/org.qemutap.policy"
LIMIT = 20  # seconds that the service waits for polkit
# Whose lease is another's to every caller.
OTHER = roots.SITTER

# Who calls: the user and the kind of his login.
CALLERS = {"root": ("root", NONE), "active": ("alice", ACTIVE), "inactive": ("bob", INACTIVE),
           "remote": ("carol", REMOTE), "no login": ("dave", NONE), "member": ("erin", NONE)}
MEMBER = "erin"

# A column for each member of the interface and each kind of lease that it can be about.
COLUMNS = [("Acquire", ""), ("Release", "own"), ("Release", "other's"), ("Release", "no such"), ("List", "own"),
           ("List", "all"), ("Version", ""), ("Pool", ""), ("PrefixLength", ""), ("Features", "")]
METHODS = {"Acquire", "Release", "List"}
READABLE = "yes yes yes yes"

# What each caller is answered: `yes`, or the last word of the error's name.
AS_USUAL = {
    "root": f"yes yes yes NoSuchLease yes yes {READABLE}",
    "active": f"yes yes NoSuchLease NoSuchLease yes NotAuthorized {READABLE}",
    "inactive": f"NotAuthorized NotAuthorized NoSuchLease NoSuchLease yes NotAuthorized {READABLE}",
    "remote": f"NotAuthorized NotAuthorized NoSuchLease NoSuchLease yes NotAuthorized {READABLE}",
    "no login": f"NotAuthorized NotAuthorized NoSuchLease NoSuchLease yes NotAuthorized {READABLE}",
    "member": f"yes yes NoSuchLease NoSuchLease yes NotAuthorized {READABLE}",
}
# Whoever must be asked about is refused, in a word that does not sound like polkit's No; root is never asked about.
UNASKED = "AuthorityUnavailable " * 4 + f"yes AuthorityUnavailable {READABLE}"
WITHOUT_POLKIT = {**{caller: UNASKED for caller in CALLERS}, "root": AS_USUAL["root"]}


def table(title, rows):
    """A text of a row for each caller, with the columns' members above."""
    cells = [[title, *(member for member, _ in COLUMNS)], ["", *(lease for _, lease in COLUMNS)]]
    cells += [[caller, *words] for caller, words in rows.items()]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    return "\n".join(lines)


def question(member, lease, own, other):
    """The call that belongs to a column."""
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
        """Everybody has a lease, of which each caller gets one and one of another's: to have one, one must have been
        allowed to."""
        self.container.set_members(OTHER, *(user for user, _ in CALLERS.values() if user != "root"))
        leases = {caller: (self.lease_of(user), self.lease_of(OTHER)) for caller, (user, _) in CALLERS.items()}
        self.container.set_members(MEMBER)
        # Opened now: nobody logs in while polkit is away.
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
        """What the caller is answered, a word for each column."""
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
        """The whole table is printed; then each cell must be as specified."""
        self.shows = table(title, rows)
        wrong = [f"{caller}, {' '.join(column)}: {word}, specified: {wanted}"
                 for caller, words in rows.items()
                 for column, word, wanted in zip(COLUMNS, words, specified[caller].split(), strict=True)
                 if word != wanted]
        self.assertEqual(wrong, [], "\n" + self.shows)

    def assert_done(self, rows, leases):
        """What was answered has happened, and nothing else: leases that were not to be released are there."""
        left = {entry["lease"] for entry in self.call("root", "List", "a{sv}", {"all": ["b", True]})[0]}
        for caller, (own, other) in leases.items():
            cells = dict(zip(COLUMNS, rows[caller]))
            self.assertEqual(own in left, cells["Release", "own"] != "yes", f"{caller}'s own lease")
            self.assertEqual(other in left, cells["Release", "other's"] != "yes", f"another's, for {caller}")
        known = {lease for pair in leases.values() for lease in pair}
        given = sum(words[COLUMNS.index(("Acquire", ""))] == "yes" for words in rows.values())
        self.assertEqual(len(left - known), given, "leases given")

    def matrix(self, title, specified, **how):
        leases = self.prepare()
        rows = {caller: self.row(caller, leases, **how) for caller in CALLERS}
        self.compare(title, rows, specified)
        self.assert_done(rows, leases)

    def test_every_member_has_a_cell(self):
        """A method or property without a cell in the matrix would be one that nobody looked at."""
        done = self.container.root("busctl", "introspect", "--xml-interface", "org.qemutap1", "/org/qemutap1")
        document = ElementTree.fromstring(done.out)
        (interface,) = [entry for entry in document.iter("interface") if entry.get("name") == MANAGER]
        self.assertEqual({entry.get("name") for entry in interface.iter("method")}, METHODS)
        members = {entry.get("name") for entry in interface if entry.tag in ("method", "property", "signal")}
        self.assertEqual(members, {member for member, _ in COLUMNS})
        readable = {entry.get("access") for entry in interface.iter("property")}
        self.assertEqual(readable, {"read"}, "a property that can be written needs a column of its own")

    def test_polkit_running(self):
        """Each caller may what is specified for him, on each kind of lease, and what was answered has happened."""
        self.matrix("polkit runs", AS_USUAL)

    def test_polkit_stopped(self):
        """A polkit that was stopped is started by the question itself: the answers are as usual."""
        def stop():
            self.container.root("systemctl", "stop", "polkit.service")
        self.matrix("polkit stopped", AS_USUAL, before_each=stop)

    def test_polkit_masked(self):
        """Without any polkit whoever is not root is told that polkit could not be asked, and nothing changes."""
        leases = self.prepare()
        self.container.root("systemctl", "mask", "--runtime", "--now", "polkit.service")
        rows = {caller: self.row(caller, leases) for caller in CALLERS}
        self.compare("polkit masked", rows, WITHOUT_POLKIT)
        self.assert_done(rows, leases)

    def test_polkit_hung(self):
        """A polkit that does not answer is the same as none, after 20 s, and nobody else waits for it."""
        leases = self.prepare()
        self.container.root("systemctl", "kill", "--signal=STOP", "polkit.service")
        self.addCleanup(self.container.root, "systemctl", "restart", "polkit.service")
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(len(CALLERS)) as pool:
            asked = {caller: pool.submit(self.row, caller, leases, together=True) for caller in CALLERS}
            # A question to polkit has been open for some time in each row when root is answered.
            self.container.ctl("root", "list")
            self.assertEqual([caller for caller, answer in asked.items() if caller != "root" and answer.done()], [])
            rows = {caller: answer.result() for caller, answer in asked.items()}
        self.assertGreaterEqual(time.monotonic() - start, LIMIT, "the time limit is not that of polkit's answer")
        self.compare("polkit hung", rows, WITHOUT_POLKIT)
        self.assert_done(rows, leases)

    def test_policy_missing(self):
        """Without our policy file polkit knows no such action: whoever is not root is told that it can't be asked."""
        leases = self.prepare()
        self.container.root("mv", POLICY, f"{POLICY}.away")
        self.addCleanup(self.container.root, "systemctl", "restart", "polkit.service")
        self.addCleanup(self.container.root, "mv", f"{POLICY}.away", POLICY)
        self.container.root("systemctl", "restart", "polkit.service")
        rows = {caller: self.row(caller, leases) for caller in CALLERS}
        self.compare("policy missing", rows, WITHOUT_POLKIT)
        self.assert_done(rows, leases)
