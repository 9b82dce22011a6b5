// SPDX-License-Identifier: MIT
//
// The order of a lease's descriptors: the daemon joins them, the client splits them.

#include "contract/descriptors.hpp"

#include "contract/hold.hpp"
#include "tests/catch.hpp"

#include <fcntl.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

using namespace qemutap;

namespace {

std::vector<UniqueFd> open_descriptors(unsigned count)
{
    std::vector<UniqueFd> descriptors;
    for (unsigned i = 0; i < count; ++i)
        descriptors.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return descriptors;
}

std::vector<int> numbers_of(const std::vector<UniqueFd> &descriptors)
{
    std::vector<int> numbers;
    for (const auto &descriptor : descriptors)
        numbers.push_back(descriptor.get());
    return numbers;
}

LeaseGrant grant_of(std::vector<TapGrant> taps)
{
    return {.hold = Hold::fd, .taps = std::move(taps)};
}

} // namespace

TEST_CASE("descriptors: vhost doubles the number of descriptors")
{
    CHECK(descriptor_count(1, 1, false) == 1);
    CHECK(descriptor_count(1, 1, true) == 2);
    CHECK(descriptor_count(2, 4, false) == 8);
    CHECK(descriptor_count(2, 4, true) == 16);
    CHECK(descriptor_count(32, 16, true) == 1024);
}

TEST_CASE("descriptors: a grant has those of each of its taps, and none for hold name")
{
    CHECK(granted_descriptors(grant_of({{.queues = 1}})) == 1);
    CHECK(granted_descriptors(grant_of({{.queues = 2, .vhost = true}, {.queues = 3}})) == 7);
    auto by_name = grant_of({{.queues = 2}, {.queues = 2}});
    by_name.hold = Hold::name;
    CHECK(granted_descriptors(by_name) == 0);
}

TEST_CASE("descriptors: without vhost the queues stay as they are")
{
    auto queues = open_descriptors(4);
    const auto numbers = numbers_of(queues);
    CHECK(numbers_of(join_descriptors(std::move(queues), {}, 2)) == numbers);
    CHECK(join_descriptors({}, {}, 1).empty());
}

TEST_CASE("descriptors: the vhost descriptors of a tap follow its queues")
{
    auto queues = open_descriptors(4);
    auto vhost = open_descriptors(4);
    const auto q = numbers_of(queues);
    const auto v = numbers_of(vhost);
    CHECK(numbers_of(join_descriptors(std::move(queues), std::move(vhost), 2)) ==
          std::vector{q[0], q[1], v[0], v[1], q[2], q[3], v[2], v[3]});
}

TEST_CASE("descriptors: what is joined for taps of any number and queues is split into the same")
{
    for (const unsigned taps : {1u, 2u, 3u})
        for (const unsigned per_tap : {1u, 2u})
            for (const bool vhost : {false, true}) {
                CAPTURE(taps, per_tap, vhost);
                auto queues = open_descriptors(taps * per_tap);
                auto companions = open_descriptors(vhost ? taps * per_tap : 0);
                const auto q = numbers_of(queues);
                const auto v = numbers_of(companions);
                const Acquired acquired{
                    .grant = grant_of(std::vector<TapGrant>(taps, {.queues = per_tap, .vhost = vhost})),
                    .descriptors = join_descriptors(std::move(queues), std::move(companions), per_tap)};
                REQUIRE(acquired.descriptors.size() == granted_descriptors(acquired.grant));
                std::vector<int> queues_again;
                std::vector<int> companions_again;
                for (const auto &tap : split_descriptors(acquired)) {
                    CHECK(tap.queues.size() == per_tap);
                    CHECK(tap.vhost.size() == (vhost ? per_tap : 0));
                    std::ranges::copy(tap.queues, std::back_inserter(queues_again));
                    std::ranges::copy(tap.vhost, std::back_inserter(companions_again));
                }
                CHECK(queues_again == q);
                CHECK(companions_again == v);
            }
}

TEST_CASE("descriptors: a lease held by name is split into nothing")
{
    Acquired acquired{.grant = grant_of({{.queues = 2}}), .descriptors = {}};
    acquired.grant.hold = Hold::name;
    CHECK(split_descriptors(acquired).empty());
}
