// SPDX-License-Identifier: MIT
//
// measure WHAT ARG...: takes times, in one process if they are to be compared, and prints a line for each kind: its
// name, then its times in microseconds. bench.py interprets them.
//
//   calls HOLD UID ROUNDS     a bare tap; an empty call; an Acquire by UID; polkit's part of it, unless UID is 0
//   crowd CLIENTS ROUNDS      that many processes at once, alternately: a bare tap each; an Acquire each
//   deletion COUNT            the deletion of that many bare taps as a group
//   owners bare|leases COUNT  a process for each tap; when a line comes on stdin, kills all and waits for their end
//   fill COUNT                acquires that many leases by name, of one tap, for root; they stay
//   now                       the clock's time, at once
//   command COMMAND...        a whole program from its start to its end, and its maximum resident memory in KiB. This
//                             process is small because the kernel also counts the memory of the child before its exec
//   stream bare|UID           makes a tap or a lease, one after the other, until stdin ends
//
// Prints "ready" before it waits for stdin.

#include "tests/bench/bare_tap.hpp"
#include "tests/bench/service.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace qemutap;
using namespace qemutap::bench;

namespace {

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;
using Times = std::map<std::string, std::vector<double>>;

double now()
{
    return Microseconds{Clock::now().time_since_epoch()}.count();
}

template <typename Call>
double time_of(Call call)
{
    const double begun = now();
    call();
    return now() - begun;
}

void print(const Times &times)
{
    for (const auto &[name, values] : times) {
        std::printf("%s", name.c_str());
        for (const double value : values)
            std::printf(" %.1f", value);
        std::printf("\n");
    }
}

void print_ready()
{
    std::printf("ready\n");
    std::fflush(stdout);
}

unsigned number(const char *text)
{
    return static_cast<unsigned>(std::stoul(text));
}

Times calls(const char *hold, uid_t uid, unsigned rounds)
{
    start_nothing();
    Kernel kernel;
    Caller root{0};
    Caller caller{uid};
    Times times;
    const bool persistent = std::string_view{hold} == "name";
    const auto once = [&](unsigned round) {
        // Each is undone before the next one, so that all find the host in the same state.
        {
            std::vector<BareTap> tap;
            tap.emplace_back(round);
            times["bare tap"].push_back(time_of([&] { kernel.create(tap.front(), persistent); }));
            if (persistent)
                kernel.remove(tap);
        }
        times["empty call"].push_back(time_of([&] { caller.call_nothing(); }));
        if (uid != 0)
            times["polkit"].push_back(time_of([&] { root.ask_polkit(caller); }));
        Lease lease;
        times["acquire"].push_back(time_of([&] { lease = caller.acquire(hold); }));
        if (persistent)
            caller.release(lease);
    };
    once(rounds); // not counted: it loads programs and fills caches
    times.clear();
    for (unsigned round = 0; round < rounds; ++round)
        once(round);
    return times;
}

// The times that processes record which begin at the same moment.
struct Shared {
    pthread_barrier_t barrier;
    struct {
        double begun, ended;
    } client[1024];
};

Shared &make_shared_memory(unsigned clients)
{
    void *memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || clients > std::size(Shared{}.client))
        throw std::runtime_error{"no shared memory"};
    auto &shared = *static_cast<Shared *>(memory);
    pthread_barrierattr_t attributes;
    ::pthread_barrierattr_init(&attributes);
    ::pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    ::pthread_barrier_init(&shared.barrier, &attributes, clients + 1);
    return shared;
}

// A child that fails ends its parent too, and with it all other children.
pid_t start_child(const std::function<void()> &act)
{
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child < 0)
        throw std::runtime_error{"fork"};
    if (child > 0)
        return child;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
        ::_exit(1);
    try {
        act();
        ::_exit(0);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "measure: %s\n", error.what());
        ::kill(parent, SIGTERM);
        ::_exit(1);
    }
}

Times crowd(unsigned clients, unsigned rounds)
{
    Shared &shared = make_shared_memory(clients);
    const auto wait = [&] { ::pthread_barrier_wait(&shared.barrier); };
    for (unsigned client = 0; client < clients; ++client)
        start_child([&, client] {
            Kernel kernel;
            Caller caller{0};
            const auto timed = [&](const std::function<void()> &act) {
                wait();
                shared.client[client].begun = now();
                act();
                shared.client[client].ended = now();
                wait();
            };
            for (unsigned round = 0; round < rounds; ++round) {
                BareTap tap{client};
                timed([&] { kernel.create(tap, true); });
                wait();
                Lease lease;
                timed([&] { lease = caller.acquire("name"); });
                caller.release(lease);
                wait();
            }
        });
    Times times;
    const auto one = [&](const std::string &name) {
        wait();
        wait();
        double first = shared.client[0].begun;
        double last = 0;
        for (unsigned client = 0; client < clients; ++client) {
            const auto &own = shared.client[client];
            times[name + " each"].push_back(own.ended - own.begun);
            first = std::min(first, own.begun);
            last = std::max(last, own.ended);
        }
        times[name + " all"].push_back(last - first);
    };
    Kernel kernel;
    for (unsigned round = 0; round < rounds; ++round) {
        one("bare tap");
        std::vector<BareTap> taps;
        for (unsigned client = 0; client < clients; ++client)
            taps.emplace_back(client);
        kernel.remove(taps);
        wait();
        one("acquire");
        wait(); // all clients have released their leases
    }
    return times;
}

Times deletion(unsigned count)
{
    Kernel kernel;
    std::vector<BareTap> taps;
    for (unsigned index = 0; index < count; ++index) {
        taps.emplace_back(index);
        kernel.create(taps.back(), true);
    }
    return {{"deletion", {time_of([&] { kernel.remove(taps); })}}};
}

Times owners(bool bare, unsigned count)
{
    Kernel kernel;
    std::optional<Caller> caller;
    if (!bare)
        caller.emplace(0);
    std::vector<pid_t> children;
    for (unsigned index = 0; index < count; ++index) {
        BareTap tap{index};
        Lease lease;
        if (bare)
            kernel.create(tap, false);
        else
            lease = caller->acquire("fd");
        children.push_back(start_child([] { ::pause(); }));
        // The descriptor is now open only in the child, so its end closes it.
    }
    print_ready();
    std::getchar();
    return {{"end", {time_of([&] {
                 for (const pid_t child : children)
                     ::kill(child, SIGKILL);
                 for (const pid_t child : children)
                     ::waitpid(child, nullptr, 0);
             })}}};
}

Times stream(std::optional<uid_t> uid)
{
    Kernel kernel;
    std::optional<Caller> caller;
    if (uid)
        caller.emplace(*uid);
    Times times;
    pollfd input{STDIN_FILENO, POLLIN, 0};
    print_ready();
    for (unsigned index = 0; ::poll(&input, 1, 0) == 0; ++index) {
        BareTap tap{8000 + index % 1000};
        Lease lease;
        times["took"].push_back(time_of([&] {
            if (uid)
                lease = caller->acquire("fd");
            else
                kernel.create(tap, false);
        }));
    }
    return times;
}

Times fill(unsigned count)
{
    Caller caller{0};
    for (unsigned index = 0; index < count; ++index)
        caller.acquire("name");
    return {};
}

Times command(std::vector<const char *> words)
{
    words.push_back(nullptr);
    const int output = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    int status = 0;
    rusage usage{};
    const double took = time_of([&] {
        const pid_t child = ::vfork();
        if (child == 0) {
            ::dup2(output, STDOUT_FILENO);
            ::execvp(words.front(), const_cast<char **>(words.data()));
            ::_exit(127);
        }
        if (child < 0 || ::wait4(child, &status, 0, &usage) != child)
            throw std::runtime_error{"a child"};
    });
    if (status != 0)
        throw std::runtime_error{std::string{words.front()} + " failed"};
    return {{"took", {took}}, {"resident", {static_cast<double>(usage.ru_maxrss)}}};
}

Times measured(const std::vector<const char *> &words)
{
    const std::string_view what = words.empty() ? "" : words.front();
    if (what == "calls" && words.size() == 4)
        return calls(words[1], number(words[2]), number(words[3]));
    if (what == "crowd" && words.size() == 3)
        return crowd(number(words[1]), number(words[2]));
    if (what == "deletion" && words.size() == 2)
        return deletion(number(words[1]));
    if (what == "owners" && words.size() == 3)
        return owners(std::string_view{words[1]} == "bare", number(words[2]));
    if (what == "fill" && words.size() == 2)
        return fill(number(words[1]));
    if (what == "command" && words.size() > 1)
        return command({words.begin() + 1, words.end()});
    if (what == "now") // `run` appends QEMU's words, which this ignores
        return {{"now", {now()}}};
    if (what == "stream" && words.size() == 2)
        return stream(std::string_view{words[1]} == "bare" ? std::nullopt : std::optional<uid_t>{number(words[1])});
    throw std::runtime_error{"usage: see the head of measure.cpp"};
}

} // namespace

int main(int argc, char **argv)
{
    try {
        print(measured({argv + 1, argv + argc}));
        return 0;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "measure: %s\n", error.what());
        return 1;
    }
}
