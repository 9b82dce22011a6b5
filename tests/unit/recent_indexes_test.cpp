// SPDX-License-Identifier: MIT
//
// The last owner of an index is remembered for 10 minutes, for other users, and separately for each address rule.

#include "daemon/core/recent_indexes.hpp"

#include "tests/catch.hpp"

using namespace qemutap;
using namespace std::chrono_literals;

TEST_CASE("for 10 minutes after its tap ended an index counts as recent for other users, and never for its own")
{
    RecentIndexes recent;
    CHECK(recent.ended_of_another(Profile::standard, 7, 1001, 100s) == std::nullopt);
    recent.note_end(Profile::standard, 7, 1000, 100s);
    CHECK(recent.ended_of_another(Profile::standard, 7, 1001, 100s) == 100s);
    CHECK(recent.ended_of_another(Profile::standard, 7, 1001, 100s + 10min - 1ns) == 100s);
    CHECK(recent.ended_of_another(Profile::standard, 7, 1001, 100s + 10min) == std::nullopt);
    CHECK(recent.ended_of_another(Profile::standard, 7, 1000, 100s) == std::nullopt);
    CHECK(recent.ended_of_another(Profile::standard, 8, 1001, 100s) == std::nullopt);
    CHECK(recent.ended_of_another(Profile::runqemu, 7, 1001, 100s) == std::nullopt);
}

TEST_CASE("an index has one owner, the last one")
{
    RecentIndexes recent;
    recent.note_end(Profile::runqemu, 3, 1000, 100s);
    recent.note_end(Profile::runqemu, 3, 1001, 200s);
    CHECK(recent.ended_of_another(Profile::runqemu, 3, 1001, 200s) == std::nullopt);
    CHECK(recent.ended_of_another(Profile::runqemu, 3, 1000, 200s) == 200s);
}
