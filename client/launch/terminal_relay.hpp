// SPDX-License-Identifier: MIT
//
// Connects root's terminal with a program of another user that has a terminal of its own (pty(7)). It copies input and
// output, passes on signals and the window size, stops when the program stops, and restores the modes of root's
// terminal at the end.

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

// The standard descriptors that are terminals, by number.
using StandardTerminals = std::bitset<3>;
StandardTerminals standard_terminals();

// Sets the terminal at standard input to raw mode. The destructor restores the modes.
class RawModes {
public:
    explicit RawModes(bool wanted)
        : wanted_{wanted}
    {}
    RawModes(const RawModes &) = delete;
    RawModes &operator=(const RawModes &) = delete;
    ~RawModes() { leave(); }

    bool wanted() const { return wanted_; }
    // Both do nothing in the background: the terminal then belongs to another job.
    void enter();
    void leave();
    // Call it when the terminal is gone. leave() then restores nothing.
    void give_up() { wanted_ = raw_ = false; }

private:
    bool wanted_;
    bool raw_ = false;
    termios before_{};
};

class TerminalRelay {
public:
    // `controlled`: the caller has a controlling terminal, so it may be a job of a shell. Opens a terminal owned by
    // `user` if any standard descriptor is a terminal. Throws std::system_error.
    TerminalRelay(StandardTerminals terminals, bool controlled, const User &user);
    TerminalRelay(const TerminalRelay &) = delete;
    TerminalRelay &operator=(const TerminalRelay &) = delete;
    ~TerminalRelay() = default;

    // Forks. Returns false in the program's process, which leads a session of its own, and true in the relay's.
    bool fork_program();
    // Relays until the program ends. Returns its wait status as waitpid(2) reports it.
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
    std::string typed_; // input that the program has not taken yet
    pid_t program_ = 0;
};

} // namespace qemutap
