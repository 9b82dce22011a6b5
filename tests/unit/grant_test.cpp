// SPDX-License-Identifier: MIT
//
// The form of a lease's id.

#include "contract/grant.hpp"

#include "tests/catch.hpp"

#include <string_view>

using namespace qemutap;

TEST_CASE("grant: a lease's id is 16 lower-case hex digits and nothing else")
{
    using namespace std::string_view_literals;
    for (const auto id : {"0123456789abcdef"sv, "0000000000000000"sv, "ffffffffffffffff"sv})
        CHECK(is_lease_id(id));
    for (const auto id : {""sv, "0123456789abcde"sv, "0123456789abcdef0"sv, "0123456789ABCDEF"sv, "0123456789abcdeg"sv,
                          " 123456789abcdef"sv, "0x23456789abcdef"sv, "0123456789abcde\n"sv, "0123456789abcde\0"sv}) {
        CAPTURE(id);
        CHECK_FALSE(is_lease_id(id));
    }
}
