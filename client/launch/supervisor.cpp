// SPDX-License-Identifier: MIT
//
// The command stays in this program's process group, so the terminal itself sends its signals (^C, ^Z, a changed size)
// to both. This program passes on the signals that only it receives. As a subreaper (prctl(2)) it becomes the parent of
// processes that the command leaves.

#include "client/launch/supervisor.hpp"

#include "client/launch/launch.hpp"
#include "common/unique_fd.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <system_error>

namespace qemutap {

namespace {

using Clock = std::chrono::steady_clock;

// A process that the command leaves has one second to react to SIGTERM, then one second to end after SIGKILL.
constexpr std::chrono::seconds time_for_sigterm{1};
constexpr std::chrono::seconds time_for_sigkill{1};

constexpr std::array passed_on{SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM,
                               SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH};
constexpr int shell_status_of_signal = 128;

void require(bool success, const char *call)
{
    if (!success)
        throw std::system_error{errno, std::generic_category(), std::string{"can't watch over the command: "} + call};
}

sigset_t set_of(int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return set;
}

// The children of this process, including ended ones that are not yet waited for. Empty if proc(5) is not mounted.
std::set<pid_t> children()
{
    std::ifstream file{"/proc/thread-self/children"};
    return {std::istream_iterator<pid_t>{file}, {}};
}

class Supervisor {
public:
    Supervisor()
    {
        sigemptyset(&watched_);
        for (const int signal : passed_on)
            sigaddset(&watched_, signal);
        sigaddset(&watched_, SIGCHLD);
        require(::sigprocmask(SIG_BLOCK, &watched_, &mask_before_) == 0, "sigprocmask");
        // A parent may have left SIGCHLD ignored. The kernel would then not report the end of children.
        struct sigaction by_default {};
        require(::sigaction(SIGCHLD, &by_default, &sigchld_before_) == 0, "sigaction");
        require(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, "prctl");
    }

    void start(const std::vector<std::string> &words)
    {
        const pid_t parent = ::getpid();
        command_ = ::fork();
        require(command_ >= 0, "fork");
        if (command_ != 0)
            return;
        ::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
        // The parent ended before the prctl took effect, so nothing would end this command with the lease.
        if (::getppid() != parent)
            ::_exit(shell_status_of_signal + SIGKILL);
        ::sigaction(SIGCHLD, &sigchld_before_, nullptr);
        ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
        ::_exit(become(words, {}));
    }

    int wait_for_end()
    {
        for (;;) {
            siginfo_t signal{};
            if (::sigwaitinfo(&watched_, &signal) < 0) {
                require(errno == EINTR, "sigwaitinfo");
                continue;
            }
            if (signal.si_signo == SIGCHLD) {
                if (const auto ended = collect())
                    return *ended;
            } else if (signal.si_code != SI_KERNEL || signal.si_signo == SIGHUP) {
                // The terminal sends its signals (si_code SI_KERNEL) to the command too. SIGHUP is the exception: when
                // the terminal closes, the kernel sends it only to the first process of the session.
                ::kill(command_, signal.si_signo);
            }
        }
    }

    void end_what_is_left()
    {
        std::set<pid_t> asked;
        const auto kill_from = Clock::now() + time_for_sigterm;
        const auto give_up_at = kill_from + time_for_sigkill;
        for (;;) {
            collect_all();
            auto left = children();
            std::erase_if(left, [&](pid_t child) { return not_the_commands_.count(child) != 0; });
            if (left.empty()) {
                // A child that ended after children() read the list may have left children of its own to this process.
                if (!collect_all())
                    return;
                continue;
            }
            const auto now = Clock::now();
            if (now >= give_up_at)
                return;
            for (const pid_t child : left)
                ask_to_end(child, now >= kill_from, asked);
            wait_for_child_until(now >= kill_from ? give_up_at : kill_from);
        }
    }

private:
    // Collects the changes of all children. Returns the command's wait status if the command has ended.
    std::optional<int> collect()
    {
        int status = 0;
        for (pid_t child; (child = ::waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0;) {
            if (child != command_)
                continue;
            if (!WIFSTOPPED(status))
                return status;
            stop_by(WSTOPSIG(status));
        }
        return std::nullopt;
    }

    static bool collect_all()
    {
        bool any = false;
        while (::waitpid(-1, nullptr, WNOHANG) > 0)
            any = true;
        return any;
    }

    // Stops this process as the command was stopped. The shell whose job this is then sees a stopped job and continues
    // it with SIGCONT, which this process passes on. Without a terminal there are no jobs: a process that continues the
    // command alone would leave this one stopped, so it does not stop.
    static void stop_by(int signal)
    {
        if (!UniqueFd{::open("/dev/tty", O_RDONLY | O_CLOEXEC)})
            return;
        ::raise(signal);
        const auto set = set_of(signal);
        ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
        ::sigprocmask(SIG_BLOCK, &set, nullptr);
    }

    static void ask_to_end(pid_t child, bool by_force, std::set<pid_t> &asked)
    {
        if (by_force)
            ::kill(child, SIGKILL);
        else if (asked.insert(child).second && ::kill(child, SIGTERM) == 0)
            ::kill(child, SIGCONT); // a stopped process handles SIGTERM only after SIGCONT
    }

    static void wait_for_child_until(Clock::time_point end)
    {
        const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(end - Clock::now());
        if (left.count() <= 0)
            return;
        constexpr long second = 1'000'000'000;
        const timespec limit{static_cast<time_t>(left.count() / second), static_cast<long>(left.count() % second)};
        const auto child_ended = set_of(SIGCHLD);
        ::sigtimedwait(&child_ended, nullptr, &limit);
    }

    sigset_t watched_{};
    sigset_t mask_before_{};
    struct sigaction sigchld_before_ {};
    std::set<pid_t> not_the_commands_ = children(); // they belong to the program that executed this one
    pid_t command_ = 0;
};

} // namespace

int supervise(const std::vector<std::string> &words)
{
    Supervisor supervisor;
    supervisor.start(words);
    const int end = supervisor.wait_for_end();
    supervisor.end_what_is_left();
    return end;
}

int end_like(int wait_status)
{
    if (!WIFSIGNALED(wait_status))
        return WEXITSTATUS(wait_status);
    const int signal = WTERMSIG(wait_status);
    // The command has already written its core dump if one was wanted. This process must not write a second one.
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    std::signal(signal, SIG_DFL);
    ::raise(signal);
    const auto set = set_of(signal);
    ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
    return shell_status_of_signal + signal;
}

} // namespace qemutap
