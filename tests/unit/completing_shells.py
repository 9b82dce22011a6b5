# SPDX-License-Identifier: MIT
"""The shells whose completions are tested. Each answers one question: the candidates for the last word of a line. The
tests type into bash and zsh at a terminal, because how they split a line into words is part of the answer."""

import os
import pathlib
import pty
import select
import subprocess
import time

COMPLETIONS = pathlib.Path(__file__).resolve().parent.parent.parent / "client" / "completions"
BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"
# A command with a completion of its own, used after `run --`.
COMMAND, ARGUMENTS = "stand-in-qemu", ["alpha", "beta"]
# Seconds in which zsh reads all of its completions on a loaded machine.
ANSWER_LIMIT = 120
# Control-X Control-P completes the line, reports the result, and clears the line.
ASK = b"\x18\x10"

BASH = """
_recorded() {
    _qemu_tapctl "$@"
    local reply before=${COMP_LINE:0:COMP_POINT}
    before=${before%"$2"}
    for reply in "${COMPREPLY[@]}"; do
        printf '%s\\n' "${before##* }$reply" >&@ANSWERS@
    done
}
_told() {
    printf '%s\\n\\0' "$READLINE_LINE" >&@ANSWERS@
    READLINE_LINE= READLINE_POINT=0
}
complete -F _recorded qemu-tapctl
complete -W 'alpha beta' stand-in-qemu
bind 'set bell-style none' 'set completion-query-items 0' 'set page-completions off'
bind -x '"\\C-x\\C-t": _told'
bind '"\\C-x\\C-p": "\\t\\C-x\\C-t"'
"""

ZSH = """
fpath=(@COMPLETIONS@ $fpath)
autoload -Uz compinit
compinit -u -D
compdef 'compadd alpha beta' stand-in-qemu
LISTMAX=100000
unsetopt beep
compadd() {
    # With one of these it only sorts out, and adds nothing.
    if [[ " ${(j: :)@[1,(i)--]} " != *' -'[OAD]' '* ]]; then
        local -a fitting
        builtin compadd -O fitting "$@"
        ((${#fitting})) && print -rlu @ANSWERS@ -- $fitting
    fi
    builtin compadd "$@"
}
asked() {
    zle complete-word
    print -rNu @ANSWERS@ -- "$BUFFER"$'\\n'
    BUFFER=
}
zle -N asked
bindkey '^X^P' asked
"""

FISH = """
complete -c stand-in-qemu -f -a 'alpha beta'
source $argv[1]
complete -C $argv[2]
"""


class Terminal:
    """A shell at a terminal, whose answers come through a separate pipe."""

    def __init__(self, argv, setup, environment):
        self.answers, writer = os.pipe()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.set_inheritable(writer, True)
            os.execvpe(argv[0], argv, environment)
        os.close(writer)
        self.shown = b""
        try:
            self._set_up(setup, str(writer))
        except BaseException:
            self.close()
            raise

    def _set_up(self, setup, writer):
        setup = setup.replace("@ANSWERS@", writer).replace("@COMPLETIONS@", str(COMPLETIONS))
        # One line, because the shell would prompt for each further line.
        quoted = setup.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
        self._type(f" eval $'{quoted}'; printf '\\0' >&{writer}\n".encode())
        self._answer()
        self.shown = b""

    def _type(self, keys):
        os.write(self.terminal, keys)

    def _answer(self):
        """The pipe's data up to the end mark; keeps what the terminal shows meanwhile."""
        answer, deadline = b"", time.monotonic() + ANSWER_LIMIT
        while not answer.endswith(b"\0"):
            ready, _, _ = select.select([self.answers, self.terminal], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"no answer; the terminal shows {self.shown.decode(errors='replace')}")
            if self.terminal in ready:
                self.shown += os.read(self.terminal, 4096)
            if self.answers in ready:
                answer += os.read(self.answers, 4096)
        while select.select([self.terminal], [], [], 0)[0]:
            self.shown += os.read(self.terminal, 4096)
        return answer[:-1].decode().splitlines()

    def ask(self, line):
        """Returns the shell's candidates, and the line after completion."""
        self._type(line.encode() + ASK)
        *words, completed = self._answer()
        return words, completed

    def close(self):
        os.close(self.terminal)
        os.close(self.answers)
        os.waitpid(self.pid, 0)


class Bash(Terminal):
    def __init__(self, environment, beside=BASH_COMPLETION):
        sources = "".join(f"source {file}\n" for file in (beside, COMPLETIONS / "qemu-tapctl.bash") if file)
        super().__init__(["bash", "--norc", "--noprofile", "-i"], sources + BASH, environment)


class Zsh(Terminal):
    def __init__(self, environment):
        super().__init__(["zsh", "-f", "-i"], ZSH, environment)


class Fish:
    """fish answers such questions without a terminal."""

    def __init__(self, environment):
        self.environment = environment
        self.terminal, self.slave = pty.openpty()
        self.shown = b""

    def ask(self, line):
        done = subprocess.run(
            ["fish", "--no-config", "-c", FISH, COMPLETIONS / "qemu-tapctl.fish", line],
            stdin=self.slave, capture_output=True, text=True, env=self.environment, check=True, timeout=ANSWER_LIMIT)
        self.shown += done.stderr.encode()
        return [word.split("\t")[0] for word in done.stdout.splitlines()], None

    def close(self):
        os.close(self.terminal)
        os.close(self.slave)
