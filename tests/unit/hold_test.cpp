// SPDX-License-Identifier: MIT
//
// The words for the ways to hold a lease.

#include "contract/hold.hpp"

#include "tests/catch.hpp"

#include <optional>

using namespace qemutap;

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
