// SPDX-License-Identifier: MIT
//
// The numbers under which a command finds its descriptors, and that they are the same open files.

#include "client/launch/descriptor_numbers.hpp"

#include "tests/catch.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>
#include <vector>

using namespace qemutap;

namespace {

class LimitChanged {
public:
    explicit LimitChanged(rlim_t limit)
    {
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
        const rlimit changed{limit, before_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &changed) == 0);
    }
    LimitChanged(const LimitChanged &) = delete;
    LimitChanged &operator=(const LimitChanged &) = delete;
    ~LimitChanged() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

std::vector<UniqueFd> pipe_ends()
{
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    std::vector<UniqueFd> descriptors;
    for (const int end : ends)
        descriptors.emplace_back(end);
    return descriptors;
}

ino_t file_of(const UniqueFd &descriptor)
{
    struct stat status {};
    REQUIRE(::fstat(descriptor.get(), &status) == 0);
    return status.st_ino;
}

} // namespace

TEST_CASE("descriptor numbers: they begin at 800, or at the highest allowed ones, and are 0 if there is no room")
{
    CHECK(first_descriptor(1024, 1) == 800);
    CHECK(first_descriptor(1'048'576, 16) == 800);
    CHECK(first_descriptor(816, 16) == 800);
    CHECK(first_descriptor(815, 16) == 799);
    CHECK(first_descriptor(256, 16) == 240);
    CHECK(first_descriptor(80, 16) == 64);
    CHECK(first_descriptor(79, 16) == 0);
    CHECK(first_descriptor(0, 1) == 0);
}

TEST_CASE("descriptor numbers: the same files are open there in the same order, and close on exec")
{
    const LimitChanged usual{1024};
    auto given = pipe_ends();
    const std::vector<ino_t> files{file_of(given[0]), file_of(given[1])};
    const int old_number = given[0].get();
    const auto moved = out_of_the_way(std::move(given));
    REQUIRE(moved.size() == 2);
    CHECK(moved[0].get() == 800);
    CHECK(moved[1].get() == 801);
    CHECK(std::vector<ino_t>{file_of(moved[0]), file_of(moved[1])} == files);
    CHECK((::fcntl(moved[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(::fcntl(old_number, F_GETFD) == -1);
}

TEST_CASE("descriptor numbers: a number that the caller uses is skipped")
{
    const LimitChanged usual{1024};
    const UniqueFd callers{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 800)};
    REQUIRE(callers.get() == 800);
    CHECK(out_of_the_way(pipe_ends())[0].get() == 801);
}

TEST_CASE("descriptor numbers: under a low limit they are the highest allowed ones")
{
    auto given = pipe_ends();
    const LimitChanged few{100};
    CHECK(out_of_the_way(std::move(given))[1].get() == 99);
}
