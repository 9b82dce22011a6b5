// SPDX-License-Identifier: MIT
//
// Deletions that the kernel does not finish, because a thread is blocked in a write to the tap from memory that never
// arrives (userfaultfd(2)). The links still disappear from the host, and only a child process waits.

#include "daemon/host/group_deletions.hpp"

#include "daemon/host/links.hpp"
#include "daemon/host/tun.hpp"
#include "tests/kernel/private_network.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <list>
#include <string>
#include <system_error>
#include <thread>

using namespace qemutap;

namespace {

constexpr uid_t alice = 64101;
constexpr uid_t bob = 64102;
constexpr std::size_t lanes_kept = 3;
constexpr int patience_ms = 20'000;

// A write of one page to the descriptor, blocked until this object is destroyed.
class StuckWrite {
public:
    explicit StuckWrite(const UniqueFd &queue)
        : size_{static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))},
          faults_{static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK))},
          page_{::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)}
    {
        INFO("userfaultfd(2) needs root");
        REQUIRE(faults_);
        REQUIRE(page_ != MAP_FAILED);
        uffdio_api api{};
        api.api = UFFD_API;
        REQUIRE(::ioctl(faults_.get(), UFFDIO_API, &api) == 0);
        uffdio_register memory{};
        memory.range = range();
        memory.mode = UFFDIO_REGISTER_MODE_MISSING;
        REQUIRE(::ioctl(faults_.get(), UFFDIO_REGISTER, &memory) == 0);
        writer_ =
            std::thread{[this, fd = queue.get()] { [[maybe_unused]] const auto written = ::write(fd, page_, 100); }};
        pollfd stuck{faults_.get(), POLLIN, 0};
        CHECK(::poll(&stuck, 1, patience_ms) == 1);
    }
    StuckWrite(const StuckWrite &) = delete;
    StuckWrite &operator=(const StuckWrite &) = delete;
    ~StuckWrite()
    {
        uffdio_zeropage zero{};
        zero.range = range();
        ::ioctl(faults_.get(), UFFDIO_ZEROPAGE, &zero);
        if (writer_.joinable())
            writer_.join();
        ::munmap(page_, size_);
    }

private:
    uffdio_range range() const { return {reinterpret_cast<std::uintptr_t>(page_), size_}; }

    std::size_t size_;
    UniqueFd faults_;
    void *page_;
    std::thread writer_;
};

std::size_t children()
{
    std::ifstream file{"/proc/thread-self/children"};
    return static_cast<std::size_t>(std::distance(std::istream_iterator<int>{file}, {}));
}

std::size_t undeleted_of(const Links &links, uid_t owner)
{
    std::size_t count = 0;
    for (const auto &deletion : links.undeleted())
        count += deletion.owner == owner ? deletion.links : 0;
    return count;
}

// Waits as the daemon's loop does.
template <typename Condition>
bool comes_true(Links &links, Condition condition)
{
    pollfd news{links.fd(), POLLIN, 0};
    while (!condition()) {
        if (::poll(&news, 1, patience_ms) != 1)
            return false;
        links.take_in_events();
    }
    return true;
}

} // namespace

TEST_CASE("I6 the end is the daemon's: a tap whose holder is blocked in a write is removed, and only a child waits")
{
    const PrivateNetwork network;
    const auto before = children();
    Tun tun;
    Links links;
    links.prepare_deletions();
    CHECK(children() == before + lanes_kept);
    std::list<OpenTap> taps;
    std::list<StuckWrite> writes;
    for (std::size_t stuck = 1; stuck <= lanes_kept + 2; ++stuck) {
        taps.push_back(*tun.create("tap7", alice, {}));
        links.bring_up(taps.back());
        writes.emplace_back(taps.back().queues.front());
        links.remove({taps.back().ifindex}, alice);
        CHECK(::if_nametoindex("tap7") == 0);
        CHECK(links.known_state().link(taps.back().ifindex) == nullptr);
        CHECK(undeleted_of(links, alice) == stuck);
    }
    const auto tap = tun.create("tap7", bob, {});
    links.remove({tap->ifindex}, bob);
    CHECK(::if_nametoindex("tap7") == 0);
    CHECK(comes_true(links, [&] { return undeleted_of(links, bob) == 0; }));
    CHECK(undeleted_of(links, alice) == lanes_kept + 2);
    // One write ends, then all of them: the surplus processes end and are reaped.
    writes.pop_front();
    CHECK(comes_true(links, [&] { return undeleted_of(links, alice) == lanes_kept + 1; }));
    writes.clear();
    CHECK(comes_true(links, [&] { return undeleted_of(links, alice) == 0; }));
    CHECK(comes_true(links, [&] { return children() == before + lanes_kept; }));
}

TEST_CASE("a deletion whose process dies is an error, and the next deletion gets a new process")
{
    const PrivateNetwork network;
    GroupDeletions deletions;
    deletions.prepare();
    {
        std::ifstream file{"/proc/thread-self/children"};
        for (auto child = std::istream_iterator<int>{file}; child != std::istream_iterator<int>{}; ++child)
            REQUIRE(::kill(*child, SIGKILL) == 0);
    }
    const auto finished = [&](const auto &outcome) {
        pollfd news{deletions.fd(), POLLIN, 0};
        while (!outcome->result && ::poll(&news, 1, patience_ms) == 1)
            deletions.take_answers();
        return outcome->result.value_or(-1);
    };
    // The scheduler decides whether the order or the end of the process comes first.
    int result = EIO;
    for (std::size_t tries = 0; result == EIO && tries <= lanes_kept; ++tries) {
        try {
            result = finished(deletions.begin(4711, alice, {}));
        } catch (const std::system_error &) {
            continue;
        }
    }
    CHECK(result == 0);
}
