// SPDX-License-Identifier: MIT
//
// The table of holds: each row stands at its place, and its words are read back.

#include "contract/hold.hpp"

#include "tests/catch.hpp"

#include <optional>
#include <set>
#include <string_view>

using namespace qemutap;

TEST_CASE("hold: each hold has the row of its value, and words of its own")
{
    std::set<std::string_view> letters;
    for (const auto &rule : hold_rules) {
        CAPTURE(rule.word);
        CHECK(&rule_of(rule.hold) == &rule);
        CHECK(parse_hold(text_of(rule.hold)) == rule.hold);
        CHECK(rule.tag_letter.size() == 1);
        letters.insert(rule.tag_letter);
    }
    CHECK(letters.size() == hold_rules.size());
    CHECK_FALSE(parse_hold("both"));
    CHECK_FALSE(parse_hold(""));
}

TEST_CASE("hold: a device outlives its descriptors only where the service ends the lease")
{
    for (const auto &rule : hold_rules)
        CHECK(rule.persistent == rule.ended_by_service);
}

TEST_CASE("hold: the holds are spelt fd and name, and in no other way")
{
    CHECK(text_of(Hold::fd) == "fd");
    CHECK(text_of(Hold::name) == "name");
    CHECK(parse_hold("fd") == Hold::fd);
    CHECK(parse_hold("name") == Hold::name);
    for (const auto *text : {"", "FD", "fds", "f", " fd", "name ", "Name", "1"}) {
        CAPTURE(text);
        CHECK(parse_hold(text) == std::nullopt);
    }
}
