// SPDX-License-Identifier: MIT
//
// Descriptors through a socket: they arrive all, in order and close-on-exec, and receiving never blocks.

#include "common/descriptor_passing.hpp"

#include "tests/catch.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <system_error>

using namespace qemutap;

namespace {

struct Sockets {
    UniqueFd ours;
    UniqueFd theirs;

    Sockets()
    {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
        ours = UniqueFd{ends[0]};
        theirs = UniqueFd{ends[1]};
    }
};

// Pipes: each has an inode of its own, so a test can recognise it.
std::vector<UniqueFd> some_descriptors(std::size_t count)
{
    std::vector<UniqueFd> descriptors;
    while (descriptors.size() < count) {
        std::array<int, 2> ends{};
        REQUIRE(::pipe(ends.data()) == 0);
        descriptors.emplace_back(ends[0]);
        ::close(ends[1]);
    }
    return descriptors;
}

std::vector<ino_t> inodes(const std::vector<UniqueFd> &descriptors)
{
    std::vector<ino_t> inodes;
    for (const auto &descriptor : descriptors) {
        struct stat status {};
        REQUIRE(::fstat(descriptor.get(), &status) == 0);
        inodes.push_back(status.st_ino);
    }
    return inodes;
}

} // namespace

TEST_CASE("descriptors arrive complete, in order and close-on-exec")
{
    for (const std::size_t count : {std::size_t{1}, std::size_t{16}, max_passed_descriptors}) {
        const Sockets sockets;
        const auto sent = some_descriptors(count);
        send_descriptors(sockets.ours.get(), sent);
        const auto received = receive_descriptors(sockets.theirs.get());
        CHECK(inodes(received) == inodes(sent));
        for (const auto &descriptor : received)
            CHECK(::fcntl(descriptor.get(), F_GETFD) == FD_CLOEXEC);
    }
}

TEST_CASE("without a message, and after the peer has closed, there are no descriptors and nothing blocks")
{
    Sockets sockets;
    CHECK(receive_descriptors(sockets.theirs.get()).empty());
    sockets.ours = UniqueFd{};
    CHECK(receive_descriptors(sockets.theirs.get()).empty());
}

TEST_CASE("a queued message is received even if its sender has ended")
{
    Sockets sockets;
    send_descriptors(sockets.ours.get(), some_descriptors(2));
    sockets.ours = UniqueFd{};
    CHECK(receive_descriptors(sockets.theirs.get()).size() == 2);
}

TEST_CASE("a message without descriptors gives no descriptors")
{
    const Sockets sockets;
    REQUIRE(::send(sockets.ours.get(), "x", 1, 0) == 1);
    CHECK(receive_descriptors(sockets.theirs.get()).empty());
}

TEST_CASE("sending no descriptors or too many is refused")
{
    const Sockets sockets;
    CHECK_THROWS_AS(send_descriptors(sockets.ours.get(), {}), std::system_error);
    CHECK_THROWS_AS(send_descriptors(sockets.ours.get(), some_descriptors(max_passed_descriptors + 1)),
                    std::system_error);
}

TEST_CASE("descriptors that exceed the process's limit are an error, and none stays open")
{
    const Sockets sockets;
    auto sent = some_descriptors(8);
    send_descriptors(sockets.ours.get(), sent);
    sent.clear();
    const int next = ::dup(0);
    ::close(next);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit tight{static_cast<rlim_t>(next + 3), before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
    CHECK_THROWS_AS(receive_descriptors(sockets.theirs.get()), std::system_error);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(::dup(0) == next);
    ::close(next);
}
