// SPDX-License-Identifier: MIT
//
// I8: a bus that reads nothing for ten seconds is noticed, and a slow one is not mistaken for it.

#include "daemon/core/drain_watch.hpp"

#include "tests/catch.hpp"

using namespace qemutap;

TEST_CASE("I8 bounded: ten seconds without a read by the bus are the limit, even if more is written meanwhile")
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

TEST_CASE("I8 bounded: any read restarts the time")
{
    DrainWatch watch;
    watch.observe(100);
    for (int second = 0; second < 9; ++second)
        watch.tick(100);
    watch.observe(99); // observed between two ticks
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

TEST_CASE("after everything was read there is nothing to wait for")
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
