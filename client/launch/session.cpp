// SPDX-License-Identifier: MIT
//
// Chooses one of three ways to start a user's program: in place, with a relay process, or with a relay process and a
// terminal of its own.

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

// ENXIO means "no controlling terminal" (tty(4)). Any other error counts as a terminal: a relay that is not needed does
// no harm.
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
    // A session of its own hides the program from ^C even when none of its standard descriptors is the controlling
    // terminal. The relay then passes the signals on.
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
