// SPDX-License-Identifier: MIT
//
// I8: a bus that reads nothing for ten seconds is noticed, and one that is slow is not taken for it.

#include "daemon/core/drain_watch.hpp"

#include "tests/catch.hpp"

using namespace qemutap;

TEST_CASE("I8 bounded: ten seconds without a sign of reading are the limit, also while more is written")
{
    DrainWatch watch;
    CHECK_FALSE(watch.is_waiting());
    watch.observe(100);
    CHECK(watch.is_waiting());
    for (int second = 1; second < 10; ++second) {
        watch.observe(100 + second);
        watch.tick(100 + second);
        CHECK_FALSE(watch.is_stuck());
    }
    watch.tick(109);
    CHECK(watch.is_stuck());
}

TEST_CASE("I8 bounded: whatever is read begins the time again")
{
    DrainWatch watch;
    watch.observe(100);
    for (int second = 0; second < 9; ++second)
        watch.tick(100);
    watch.observe(99); // seen between two ticks
    watch.observe(200);
    for (int second = 0; second < 9; ++second)
        watch.tick(200);
    CHECK_FALSE(watch.is_stuck());
    watch.tick(150);
    for (int second = 0; second < 9; ++second)
        watch.tick(150);
    CHECK_FALSE(watch.is_stuck());
    watch.tick(150);
    CHECK(watch.is_stuck());
}

TEST_CASE("with all of it read there is nothing to wait for")
{
    DrainWatch watch;
    watch.observe(100);
    watch.tick(100);
    watch.tick(0);
    CHECK_FALSE(watch.is_waiting());
    for (int second = 0; second < 20; ++second)
        watch.tick(0);
    CHECK_FALSE(watch.is_stuck());
}
