// SPDX-License-Identifier: MIT
//
// The exact order of the search: each usable index once, others' recent ones last, reserved ones never.

#include "daemon/core/index_search.hpp"

#include "tests/catch.hpp"

#include <vector>

using namespace qemutap;
using namespace std::chrono_literals;

namespace {

using Indexes = std::vector<unsigned>;

// Six indexes, 9 to 14.
AddressPlan six_indexes(std::vector<Reservation> reservations = {})
{
    PlanSettings settings;
    settings.pool = {{0xc0a80000}, 24};
    settings.prefix_length = 28;
    settings.first_index = 9;
    settings.reservations = std::move(reservations);
    settings.exclusions.clear();
    return {settings, 0};
}

Indexes all_of(IndexSearch search)
{
    Indexes indexes;
    while (const auto index = search.next())
        indexes.push_back(*index);
    CHECK(search.next() == std::nullopt);
    return indexes;
}

} // namespace

TEST_CASE("a search tries each index once, from the first one, or from the label's start and around")
{
    const auto plan = six_indexes();
    CHECK(all_of({plan, {}, Profile::standard, 1000, "", 0s}) == Indexes{9, 10, 11, 12, 13, 14});
    const auto start = plan.search_start(Profile::standard, 1000, "web");
    Indexes expected;
    for (unsigned i = 0; i < 6; ++i)
        expected.push_back(9 + (start - 9 + i) % 6);
    CHECK(all_of({plan, {}, Profile::standard, 1000, "web", 0s}) == expected);
    CHECK(all_of({plan, {}, Profile::runqemu, 1000, "", 0s}).size() == 127);
}

TEST_CASE("other users' recent indexes come last, in the order in which they ended; the user's own keep their place")
{
    const auto plan = six_indexes();
    RecentIndexes recent;
    recent.note_end(Profile::standard, 10, 1001, 30s);
    recent.note_end(Profile::standard, 9, 1001, 20s);
    recent.note_end(Profile::standard, 13, 1002, 10s);
    recent.note_end(Profile::standard, 12, 1000, 40s);
    recent.note_end(Profile::standard, 14, 1001, 20s);
    CHECK(all_of({plan, recent, Profile::standard, 1000, "", 60s}) == Indexes{11, 12, 13, 9, 14, 10});
    // At this time only one of them ended less than 10 minutes ago.
    CHECK(all_of({plan, recent, Profile::standard, 1000, "", 10min + 20s}) == Indexes{9, 11, 12, 13, 14, 10});
}

TEST_CASE("reserved indexes are never found by a search")
{
    const auto plan = six_indexes({{.user = "1000", .uid = 1000, .label = "web", .index = 9},
                                   {.user = "1001", .uid = 1001, .label = "web", .index = 12}});
    RecentIndexes recent;
    recent.note_end(Profile::standard, 12, 1001, 0s);
    CHECK(all_of({plan, recent, Profile::standard, 1000, "", 1s}) == Indexes{10, 11, 13, 14});
    CHECK(all_of({plan, recent, Profile::standard, 1000, "web", 1s}).size() == 4);
}
