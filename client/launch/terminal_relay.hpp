// SPDX-License-Identifier: MIT
//
// Stands between root's terminal and a program of another user that has a terminal of its own (pty(7)): it copies what
// is typed and what is shown, passes signals and the window's size on, stops when the program stops, and gives the
// terminal back as it was.

#pragma once

#include "client/launch/become_user.hpp"
#include "common/unique_fd.hpp"

#include <bitset>
#include <csignal>
#include <optional>
#include <string>
#include <sys/types.h>
#include <termios.h>

namespace qemutap {

// Those of the standard descriptors that are terminals.
using StandardTerminals = std::bitset<3>;
StandardTerminals standard_terminals();

// The modes of the terminal at standard input, given back at the end.
class RawModes {
public:
    explicit RawModes(bool wanted)
        : wanted_{wanted}
    {}
    RawModes(const RawModes &) = delete;
    RawModes &operator=(const RawModes &) = delete;
    ~RawModes() { leave(); }

    bool wanted() const { return wanted_; }
    // Both do nothing in the background, where the terminal is another job's.
    void enter();
    void leave();
    // The terminal is gone.
    void give_up() { wanted_ = raw_ = false; }

private:
    bool wanted_;
    bool raw_ = false;
    termios before_{};
};

class TerminalRelay {
public:
    // `controlled`: the caller has a controlling terminal, so it may be a job of a shell.
    TerminalRelay(StandardTerminals terminals, bool controlled, const User &user);
    TerminalRelay(const TerminalRelay &) = delete;
    TerminalRelay &operator=(const TerminalRelay &) = delete;
    ~TerminalRelay() = default;

    // As fork(2): false in the program's process, which leads a session of its own.
    bool fork_program();
    // The end of the program as waitpid(2) returns it.
    int wait_for_end();

private:
    void open_terminal(const User &user);
    void become_program();
    std::optional<int> handle_signal();
    std::optional<int> collect();
    void pass_on(int signal);
    void stop();
    void copy_window_size() const;
    void copy_typed();
    bool copy_shown() const;

    StandardTerminals terminals_;
    bool controlled_;
    int shown_at_; // the standard descriptor on which the program's output is shown
    UniqueFd master_;
    UniqueFd slave_; // kept open: the master would report a hang-up whenever the program has none open
    UniqueFd signals_;
    sigset_t mask_before_{};
    struct sigaction sigchld_before_ {};
    RawModes modes_;
    std::string typed_; // not yet taken by the program
    pid_t program_ = 0;
};

} // namespace qemutap
