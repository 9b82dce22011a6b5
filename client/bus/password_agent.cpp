// SPDX-License-Identifier: MIT
//
// The agent turns the terminal's echo off while it reads the password. The echo must be on again before the caller's
// shell gets the terminal, in whatever way the agent or this process ends. So this process catches the signals that
// would end it while the agent runs; the handlers use only functions that signal-safety(7) allows. If this process ends
// without a handler, such as by SIGKILL, the kernel sends SIGTERM to the agent.

#include "client/bus/password_agent.hpp"

#include "common/unique_fd.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <string>

namespace qemutap {

namespace {

constexpr int registration_ms = 20'000; // polkit's own limit for a question without an agent
constexpr int farewell_ms = 1'000;
constexpr std::array ending_signals{SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// The state that the signal handlers read. It changes only while the signals are blocked.
struct Running {
    pid_t agent = -1;
    int pidfd = -1;
    bool has_terminal = false;
    termios terminal{};
    std::array<struct sigaction, ending_signals.size()> before{};
};
Running running;

// The signals to block while the state changes. SIGTTOU is among them because it stops a background process that sets
// the terminal's modes.
sigset_t held_signals()
{
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : ending_signals)
        sigaddset(&signals, signal);
    sigaddset(&signals, SIGTTOU);
    return signals;
}

class SignalsBlocked {
public:
    SignalsBlocked()
    {
        const auto held = held_signals();
        ::sigprocmask(SIG_BLOCK, &held, &before);
    }
    SignalsBlocked(const SignalsBlocked &) = delete;
    SignalsBlocked &operator=(const SignalsBlocked &) = delete;
    ~SignalsBlocked() { ::sigprocmask(SIG_SETMASK, &before, nullptr); }

    sigset_t before{};
};

bool in_foreground()
{
    return ::tcgetpgrp(STDIN_FILENO) == ::getpgrp();
}

void wait_for_end(pid_t child)
{
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
}

void end_agent()
{
    if (running.agent < 0)
        return;
    ::kill(running.agent, SIGTERM);
    ::kill(running.agent, SIGCONT); // the agent may have been stopped together with this process
    pollfd ended{running.pidfd, POLLIN, 0};
    if (::poll(&ended, 1, farewell_ms) != 1)
        ::kill(running.agent, SIGKILL);
    wait_for_end(running.agent);
    running.agent = -1;
    if (running.has_terminal && in_foreground())
        ::tcsetattr(STDIN_FILENO, TCSANOW, &running.terminal);
}

void end_with_agent(int signal)
{
    end_agent();
    if (in_foreground())
        ::tcflush(STDIN_FILENO, TCIFLUSH); // the shell must not read half a password
    std::signal(signal, SIG_DFL);
    ::raise(signal); // the signal arrives when this handler returns
}

void catch_signals()
{
    struct sigaction action {};
    action.sa_handler = end_with_agent;
    action.sa_mask = held_signals();
    for (std::size_t i = 0; i < ending_signals.size(); ++i) {
        ::sigaction(ending_signals[i], nullptr, &running.before[i]);
        if (running.before[i].sa_handler != SIG_IGN)
            ::sigaction(ending_signals[i], &action, nullptr);
    }
}

void restore_signals()
{
    for (std::size_t i = 0; i < ending_signals.size(); ++i)
        ::sigaction(ending_signals[i], &running.before[i], nullptr);
}

// polkit searches for a desktop's agent in the caller's login session, else in the session on the display of the
// caller's user. If there is neither session, polkit ignores an agent that is registered as a fallback (seen in polkit
// 122).
bool desktop_may_answer()
{
    char *session = nullptr;
    uid_t user = 0;
    const bool found = ::sd_pid_get_session(0, &session) >= 0 ||
                       (::sd_pid_get_owner_uid(0, &user) >= 0 && ::sd_uid_get_display(user, &session) >= 0);
    std::free(session);
    return found;
}

// Executes the agent in the child. The agent closes `registered` when polkit has accepted it; its end closes
// `registered` too.
[[noreturn]] void become_agent(int registered, bool as_fallback, pid_t parent, const sigset_t &mask)
{
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent)
        ::_exit(EXIT_FAILURE);
    // Standard output carries results only, so the agent writes to standard error. It inherits no other descriptor than
    // the standard ones and `registered`.
    ::dup2(STDERR_FILENO, STDOUT_FILENO);
    ::close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    ::fcntl(registered, F_SETFD, 0);
    ::sigprocmask(SIG_SETMASK, &mask, nullptr);
    const auto number = std::to_string(registered);
    ::execlp("pkttyagent", "pkttyagent", "--notify-fd", number.c_str(), as_fallback ? "--fallback" : nullptr, nullptr);
    ::_exit(EXIT_FAILURE);
}

} // namespace

bool somebody_to_ask()
{
    return ::geteuid() != 0 && ::isatty(STDIN_FILENO) == 1;
}

PasswordAgent::PasswordAgent()
{
    // The kernel stops a background job that reads from the terminal.
    std::array<int, 2> ends{-1, -1};
    if (!in_foreground() || ::pipe2(ends.data(), O_CLOEXEC) != 0)
        return;
    const UniqueFd registered{ends[0]};
    UniqueFd agents_end{ends[1]};
    {
        const SignalsBlocked blocked;
        const auto parent = ::getpid();
        const bool as_fallback = desktop_may_answer();
        running.has_terminal = ::tcgetattr(STDIN_FILENO, &running.terminal) == 0;
        const auto child = ::fork();
        if (child == 0)
            become_agent(agents_end.get(), as_fallback, parent, blocked.before);
        if (child < 0)
            return;
        running.agent = child;
        // glibc 2.36 declares pidfd_open(2) to C only.
        running.pidfd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
        catch_signals();
    }
    agents_end = UniqueFd{};
    pollfd closed{registered.get(), POLLIN, 0};
    while (::poll(&closed, 1, registration_ms) < 0 && errno == EINTR) {
    }
}

PasswordAgent::~PasswordAgent()
{
    const SignalsBlocked blocked;
    if (running.agent < 0)
        return;
    end_agent();
    ::close(running.pidfd);
    restore_signals();
}

} // namespace qemutap
