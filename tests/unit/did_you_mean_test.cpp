// SPDX-License-Identifier: MIT
//
// The hint for a mistyped verb or option.

#include "client/verbs/did_you_mean.hpp"

#include "tests/catch.hpp"

#include <string>
#include <vector>

using namespace qemutap;

namespace {

const std::vector<std::string> verbs{"run", "runqemu", "up", "down", "list", "args", "help"};

} // namespace

TEST_CASE("did you mean: the distance counts letters inserted, deleted, replaced and swapped")
{
    CHECK(edit_distance("", "") == 0);
    CHECK(edit_distance("", "up") == 2);
    CHECK(edit_distance("up", "") == 2);
    CHECK(edit_distance("up", "up") == 0);
    CHECK(edit_distance("upp", "up") == 1);
    CHECK(edit_distance("lst", "list") == 1);
    CHECK(edit_distance("ran", "run") == 1);
    CHECK(edit_distance("dwon", "down") == 1);
    CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("did you mean: the nearest words are named, and all of them if several are equally near")
{
    CHECK(did_you_mean("upp", verbs) == "; did you mean \"up\"?");
    CHECK(did_you_mean("dwon", verbs) == "; did you mean \"down\"?");
    CHECK(did_you_mean("runqmeu", verbs) == "; did you mean \"runqemu\"?");
    CHECK(did_you_mean("rup", verbs) == "; did you mean \"run\" or \"up\"?");
    CHECK(did_you_mean("--cout", {"--count", "--queues"}) == "; did you mean \"--count\"?");
    CHECK(did_you_mean("--idle", {"--idle-timeout", "--label"}) == "; did you mean \"--idle-timeout\"?");
}

TEST_CASE("did you mean: a word that is near to none, or far too long, gets no hint")
{
    for (const std::string word : {"bogus", "UP", "x", "destroy", ""})
        CHECK(did_you_mean(word, verbs).empty());
    CHECK(did_you_mean(std::string(100'000, 'u'), verbs).empty());
    CHECK(did_you_mean("up", {}).empty());
}
