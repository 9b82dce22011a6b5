// SPDX-License-Identifier: MIT
//
// The words for the address rules.

#include "contract/profile.hpp"

#include "tests/catch.hpp"

#include <optional>

using namespace qemutap;

TEST_CASE("profile: the profiles are spelt standard and runqemu, and in no other way")
{
    CHECK(text_of(Profile::standard) == "standard");
    CHECK(text_of(Profile::runqemu) == "runqemu");
    CHECK(parse_profile("standard") == Profile::standard);
    CHECK(parse_profile("runqemu") == Profile::runqemu);
    for (const auto *text : {"", "Standard", "yocto", "runqemu ", "run"}) {
        CAPTURE(text);
        CHECK(parse_profile(text) == std::nullopt);
    }
}
