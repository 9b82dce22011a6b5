// SPDX-License-Identifier: MIT
//
// Which of the three ways a program goes: in place, with a relay, with a relay and a terminal.

#include "client/launch/session.hpp"

#include "client/launch/terminal_relay.hpp"
#include "common/unique_fd.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace qemutap {

namespace {

// Any other error than the one for "none" (tty(4)) counts as one: a relay more does no harm.
bool has_controlling_terminal()
{
    return UniqueFd{::open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)} || errno != ENXIO;
}

bool leads_own_session()
{
    return ::getsid(0) == ::getpid() || ::setsid() >= 0;
}

} // namespace

Departure leave_session(const User &user)
{
    const auto terminals = standard_terminals();
    // With a controlling terminal and no descriptor of it, ^C would miss a program of another session.
    const bool controlled = has_controlling_terminal();
    if (!terminals.any() && !controlled && leads_own_session())
        return {};
    TerminalRelay relay{terminals, controlled, user};
    const pid_t parent = ::getpid();
    if (relay.fork_program())
        return {.end = relay.wait_for_end(), .relay = 0};
    return {.end = std::nullopt, .relay = parent};
}

void end_with(pid_t relay)
{
    ::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (::getppid() != relay)
        ::raise(SIGTERM);
}

} // namespace qemutap
