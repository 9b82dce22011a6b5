// SPDX-License-Identifier: MIT
//
// The two sides of a lane. The daemon's side never waits. The child's side does nothing but delete.

#include "daemon/host/deletion_lane.hpp"

#include "daemon/host/netlink.hpp"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <exception>
#include <new>
#include <system_error>

namespace qemutap {

namespace {

constexpr int first_free_fd = 3;

[[noreturn]] void fail(const char *what)
{
    throw std::system_error{errno, std::generic_category(), what};
}

void delete_group(RouteRequests &requests, std::uint32_t group)
{
    auto message = make_message(RTM_DELLINK, 0);
    ifinfomsg header{};
    require_libnl(nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO), "a deletion");
    require_libnl(nla_put_u32(message.get(), IFLA_GROUP, group), "a deletion");
    requests.perform(*message, "a deletion");
}

int result_of_deletion(std::optional<RouteRequests> &requests, std::uint32_t group)
{
    try {
        if (!requests)
            requests.emplace();
        delete_group(*requests, group);
    } catch (const std::bad_alloc &) {
        return ENOMEM;
    } catch (const std::system_error &error) {
        return error.code() == std::errc::no_such_device ? 0 : error.code().value();
    } catch (const std::exception &) {
        return EIO;
    }
    return 0;
}

// The daemon blocks the signals that it reads by descriptor, and a child inherits the blocked set.
void reset_signals()
{
    struct sigaction usual {};
    usual.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number)
        ::sigaction(number, &usual, nullptr); // fails for signals whose action can't be changed
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Closes all descriptors except `kept`. Returns false if it could not close all of them.
bool keep_only(int kept)
{
    return ::close_range(0, static_cast<unsigned>(kept) - 1, 0) == 0 &&
           ::close_range(static_cast<unsigned>(kept) + 1, ~0U, 0) == 0;
}

// Deletes groups until the daemon closes its end of the socket or ends.
void serve(int socket)
{
    std::optional<RouteRequests> requests;
    std::uint32_t group = 0;
    for (;;) {
        const auto received = ::recv(socket, &group, sizeof group, 0);
        if (received < 0 && errno == EINTR)
            continue;
        if (received != sizeof group)
            return;
        const int result = result_of_deletion(requests, group);
        if (::send(socket, &result, sizeof result, MSG_NOSIGNAL) != sizeof result)
            return;
    }
}

// Ends by _exit(2): the child must not run what the daemon runs at its end.
[[noreturn]] void be_child(int socket, pid_t daemon)
{
    ::prctl(PR_SET_NAME, "qemu-tapd-del");
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    reset_signals();
    // Use a descriptor above the standard streams, so that a stray write to one of them can't reach the socket.
    const int kept = ::fcntl(socket, F_DUPFD_CLOEXEC, first_free_fd);
    if (kept < 0 || !keep_only(kept) || ::getppid() != daemon)
        ::_exit(1);
    serve(kept);
    ::_exit(0);
}

} // namespace

DeletionLane::DeletionLane()
{
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
        fail("a socket to a deleting process");
    socket_ = UniqueFd{ends[0]};
    const UniqueFd childs{ends[1]};
    const auto daemon = ::getpid();
    child_ = ::fork();
    if (child_ < 0)
        fail("starting a deleting process (fork)");
    if (child_ == 0)
        be_child(childs.get(), daemon);
    end_ = UniqueFd{static_cast<int>(::syscall(SYS_pidfd_open, child_, 0U))};
    // Without a pidfd the daemon would not notice the child's end. The child has received no order yet, so it ends when
    // the daemon closes the socket.
    if (!end_) {
        const int error = errno;
        socket_ = UniqueFd{};
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
        throw std::system_error{error, std::generic_category(), "watching a deleting process (pidfd_open)"};
    }
}

void DeletionLane::order(std::uint32_t group)
{
    while (::send(socket_.get(), &group, sizeof group, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof group)
        if (errno != EINTR)
            fail("an order to a deleting process");
}

std::optional<int> DeletionLane::take_answer()
{
    int result = 0;
    const auto received = ::recv(socket_.get(), &result, sizeof result, MSG_DONTWAIT);
    if (received == sizeof result)
        return result;
    if (received < 0 && (errno == EAGAIN || errno == EINTR))
        return std::nullopt;
    return EIO;
}

bool DeletionLane::collect() const
{
    return ::waitpid(child_, nullptr, WNOHANG) != 0; // true after an error too: then there is no child to collect
}

} // namespace qemutap
