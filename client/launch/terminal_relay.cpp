// SPDX-License-Identifier: MIT
//
// One loop waits for signals, for the program's terminal and for root's. The relay never blocks on the program: it
// keeps input that the program has not read, and reads no more from root's terminal until the program takes it.

#include "client/launch/terminal_relay.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>

namespace qemutap {

namespace {

constexpr std::array handled{SIGCHLD, SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2,
                             SIGTERM, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH};
constexpr std::size_t chunk = 4096;
// Bounds the output that is copied after the program's end: its children may continue to write.
constexpr int most_chunks_after_end = 256;
// The kernel sends no event when a shell brings a running job to the foreground, so the relay polls.
constexpr int background_poll_ms = 500;

void require(bool success, const char *call)
{
    if (!success)
        throw std::system_error{errno, std::generic_category(),
                                std::string{"can't give the user's program a terminal of its own: "} + call};
}

// True also for a terminal that does not control this process: it has no jobs.
bool in_foreground(int terminal)
{
    const pid_t group = ::tcgetpgrp(terminal);
    return group < 0 || group == ::getpgrp();
}

void write_all(int fd, std::string_view text)
{
    while (!text.empty()) {
        const auto written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; // the terminal is gone: the program receives SIGHUP for that
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

void set_flag(const UniqueFd &fd, int get, int set, int flag)
{
    const int before = ::fcntl(fd.get(), get);
    require(before >= 0 && ::fcntl(fd.get(), set, before | flag) == 0, "fcntl");
}

} // namespace

StandardTerminals standard_terminals()
{
    StandardTerminals terminals;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
        terminals[static_cast<std::size_t>(fd)] = ::isatty(fd) == 1;
    return terminals;
}

void RawModes::enter()
{
    if (!wanted_ || !in_foreground(STDIN_FILENO) || (!raw_ && ::tcgetattr(STDIN_FILENO, &before_) != 0))
        return;
    auto raw = before_;
    ::cfmakeraw(&raw);
    raw_ = ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

void RawModes::leave()
{
    if (raw_ && in_foreground(STDIN_FILENO))
        ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
    raw_ = false;
}

TerminalRelay::TerminalRelay(StandardTerminals terminals, bool controlled, const User &user)
    : terminals_{terminals},
      controlled_{controlled},
      shown_at_{terminals[STDOUT_FILENO]   ? STDOUT_FILENO
                : terminals[STDERR_FILENO] ? STDERR_FILENO
                                           : STDIN_FILENO},
      modes_{terminals[STDIN_FILENO]}
{
    if (terminals.any())
        open_terminal(user);
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : handled)
        sigaddset(&set, signal);
    signals_ = UniqueFd{::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
    require(static_cast<bool>(signals_), "signalfd");
    // A parent may have left SIGCHLD ignored. The kernel would then not report the end of the program.
    struct sigaction by_default {};
    require(::sigaction(SIGCHLD, &by_default, &sigchld_before_) == 0, "sigaction");
    require(::sigprocmask(SIG_BLOCK, &set, &mask_before_) == 0, "sigprocmask");
}

// Opens the program's terminal and copies the window size and the modes of root's terminal. In the background it does
// not copy the modes: the shell has then set them for itself.
void TerminalRelay::open_terminal(const User &user)
{
    termios modes{};
    winsize size{};
    const bool has_modes = in_foreground(shown_at_) && ::tcgetattr(shown_at_, &modes) == 0;
    const bool has_size = ::ioctl(shown_at_, TIOCGWINSZ, &size) == 0;
    // Root's terminal processes output (OPOST) unless it is in raw mode. Output must not be processed twice.
    if (!modes_.wanted())
        modes.c_oflag &= ~static_cast<tcflag_t>(OPOST);
    int master = -1;
    int slave = -1;
    require(::openpty(&master, &slave, nullptr, has_modes ? &modes : nullptr, has_size ? &size : nullptr) == 0,
            "openpty");
    master_ = UniqueFd{master};
    slave_ = UniqueFd{slave};
    set_flag(master_, F_GETFD, F_SETFD, FD_CLOEXEC);
    set_flag(slave_, F_GETFD, F_SETFD, FD_CLOEXEC);
    set_flag(master_, F_GETFL, F_SETFL, O_NONBLOCK);
    // The user owns the terminal so that programs can open it by its name. Root in a unit may lack CAP_CHOWN; the
    // program then still has the terminal open.
    struct stat status {};
    if (::fstat(slave, &status) == 0 && status.st_uid != user.uid &&
        ::fchown(slave, user.uid, static_cast<gid_t>(-1)) != 0 && errno != EPERM)
        require(false, "fchown");
}

bool TerminalRelay::fork_program()
{
    program_ = ::fork();
    require(program_ >= 0, "fork");
    if (program_ == 0)
        become_program();
    return program_ != 0;
}

void TerminalRelay::become_program()
{
    require(::setsid() >= 0, "setsid");
    if (slave_)
        require(::ioctl(slave_.get(), TIOCSCTTY, 0) == 0, "TIOCSCTTY");
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
        if (terminals_[static_cast<std::size_t>(fd)])
            require(::dup2(slave_.get(), fd) == fd, "dup2");
    ::sigaction(SIGCHLD, &sigchld_before_, nullptr);
    ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
}

int TerminalRelay::wait_for_end()
{
    modes_.enter();
    for (;;) {
        const bool front = !modes_.wanted() || in_foreground(STDIN_FILENO);
        const bool reads = modes_.wanted() && front && typed_.empty();
        const auto from_master = static_cast<short>(typed_.empty() ? POLLIN : POLLIN | POLLOUT);
        std::array<pollfd, 3> waited{{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                      {.fd = master_.get(), .events = from_master, .revents = 0},
                                      {.fd = reads ? STDIN_FILENO : -1, .events = POLLIN, .revents = 0}}};
        const int ready = ::poll(waited.data(), waited.size(), front ? -1 : background_poll_ms);
        require(ready >= 0 || errno == EINTR, "poll");
        if (ready <= 0) {
            modes_.enter();
            continue;
        }
        if (waited[1].revents & POLLIN)
            copy_shown();
        if (waited[2].revents || (waited[1].revents & POLLOUT))
            copy_typed();
        if (waited[0].revents)
            if (const auto end = handle_signal()) {
                for (int i = 0; i < most_chunks_after_end && copy_shown(); ++i) {
                }
                modes_.leave();
                return *end;
            }
    }
}

std::optional<int> TerminalRelay::handle_signal()
{
    signalfd_siginfo signal{};
    if (::read(signals_.get(), &signal, sizeof signal) != sizeof signal)
        return std::nullopt;
    if (signal.ssi_signo == SIGCHLD)
        return collect();
    pass_on(static_cast<int>(signal.ssi_signo));
    return std::nullopt;
}

std::optional<int> TerminalRelay::collect()
{
    int status = 0;
    while (::waitpid(program_, &status, WNOHANG | WUNTRACED) > 0) {
        if (!WIFSTOPPED(status))
            return status;
        // Without a controlling terminal there are no jobs: a process that continues the program alone would leave the
        // relay stopped, so the relay does not stop.
        if (controlled_)
            stop();
    }
    return std::nullopt;
}

void TerminalRelay::pass_on(int signal)
{
    switch (signal) {
    case SIGWINCH:
        copy_window_size();
        return;
    case SIGCONT:
        modes_.enter();
        ::kill(-program_, SIGCONT);
        return;
    case SIGTSTP:
        // The program's process group is orphaned, as it leads its session, so the kernel discards SIGTSTP there.
        // SIGSTOP stops it in any case.
        ::kill(-program_, SIGSTOP);
        return;
    case SIGTTIN:
    case SIGTTOU:
        return;
    default:
        ::kill(program_, signal);
    }
}

void TerminalRelay::stop()
{
    modes_.leave();
    ::raise(SIGSTOP);
    copy_window_size();
    modes_.enter();
    ::kill(-program_, SIGCONT);
}

void TerminalRelay::copy_window_size() const
{
    winsize size{};
    if (master_ && ::ioctl(shown_at_, TIOCGWINSZ, &size) == 0)
        ::ioctl(master_.get(), TIOCSWINSZ, &size);
}

void TerminalRelay::copy_typed()
{
    if (typed_.empty()) {
        std::array<char, chunk> bytes; // NOLINT(cppcoreguidelines-pro-type-member-init): read() fills it
        const auto count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
        if (count <= 0) {
            // Root's terminal is gone. If it controlled the relay, the relay receives SIGHUP as well.
            if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
                ::kill(program_, SIGHUP);
                modes_.give_up();
            }
            return;
        }
        typed_.assign(bytes.data(), static_cast<std::size_t>(count));
    }
    const auto written = ::write(master_.get(), typed_.data(), typed_.size());
    if (written > 0)
        typed_.erase(0, static_cast<std::size_t>(written));
    else if (errno != EAGAIN && errno != EINTR)
        typed_.clear();
}

// Copies one chunk of output. Returns false if the program's terminal has no output at present.
bool TerminalRelay::copy_shown() const
{
    if (!master_)
        return false;
    std::array<char, chunk> bytes; // NOLINT(cppcoreguidelines-pro-type-member-init): read() fills it
    const auto count = ::read(master_.get(), bytes.data(), bytes.size());
    if (count > 0)
        write_all(shown_at_, {bytes.data(), static_cast<std::size_t>(count)});
    return count > 0;
}

} // namespace qemutap
