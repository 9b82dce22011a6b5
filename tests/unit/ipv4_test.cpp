// SPDX-License-Identifier: MIT
//
// Addresses and prefixes: their text, read and written, and the arithmetic for every length that a subnet can have.

#include "common/ipv4.hpp"

#include "tests/catch.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

using namespace qemutap;

namespace {

// The masks of the lengths 0 to 32 (RFC 4632, section 3.1).
constexpr std::array<std::string_view, 33> masks{
    "0.0.0.0",         "128.0.0.0",       "192.0.0.0",       "224.0.0.0",       "240.0.0.0",       "248.0.0.0",
    "252.0.0.0",       "254.0.0.0",       "255.0.0.0",       "255.128.0.0",     "255.192.0.0",     "255.224.0.0",
    "255.240.0.0",     "255.248.0.0",     "255.252.0.0",     "255.254.0.0",     "255.255.0.0",     "255.255.128.0",
    "255.255.192.0",   "255.255.224.0",   "255.255.240.0",   "255.255.248.0",   "255.255.252.0",   "255.255.254.0",
    "255.255.255.0",   "255.255.255.128", "255.255.255.192", "255.255.255.224", "255.255.255.240", "255.255.255.248",
    "255.255.255.252", "255.255.255.254", "255.255.255.255",
};

Ipv4Prefix prefix(std::string_view text)
{
    const auto parsed = Ipv4Prefix::parse(text);
    CAPTURE(text);
    REQUIRE(parsed.has_value());
    return *parsed;
}

void check_no_address(std::string_view text)
{
    CAPTURE(text);
    CHECK(Ipv4Address::parse(text) == std::nullopt);
}

void check_no_prefix(std::string_view text)
{
    CAPTURE(text);
    CHECK(Ipv4Prefix::parse(text) == std::nullopt);
}

} // namespace

TEST_CASE("ipv4: an address is read in host byte order and written back unchanged")
{
    const auto address = Ipv4Address::parse("192.168.7.1");
    REQUIRE(address.has_value());
    CHECK(address->value == 0xc0a80701);
    for (const auto *text : {"0.0.0.0", "255.255.255.255", "10.0.0.1", "192.168.254.2"}) {
        CAPTURE(text);
        REQUIRE(Ipv4Address::parse(text).has_value());
        CHECK(Ipv4Address::parse(text)->text() == text);
    }
    CHECK(Ipv4Address{}.text() == "0.0.0.0");
}

TEST_CASE("ipv4: text that is not a dotted quad is not an address")
{
    using namespace std::string_view_literals;
    for (const auto text : {""sv, "192.168.7"sv, "192.168.7.1.1"sv, "192.168.7."sv, ".168.7.1"sv, "192.168..1"sv,
                            "256.0.0.1"sv, "192.168.7.-1"sv, "127.1"sv, "0x7f.0.0.1"sv, "3232237313"sv, "::1"sv})
        check_no_address(text);
    for (const auto text : {"192.168.7.1 "sv, " 192.168.7.1"sv, "192.168.7.1\n"sv, "192.168.7.1/24"sv, "localhost"sv,
                            "::ffff:192.168.7.1"sv, "192.168.7.1\0"sv, "192.168.7.1\0x"sv})
        check_no_address(text);
}

TEST_CASE("ipv4: a prefix is read with its length and written back unchanged")
{
    const auto pool = prefix("192.168.0.0/16");
    CHECK(pool.address.value == 0xc0a80000);
    CHECK(pool.length == 16);
    for (const auto *text :
         {"0.0.0.0/0", "128.0.0.0/1", "192.168.122.0/24", "192.168.7.1/24", "10.0.0.4/30", "255.255.255.255/32"})
        CHECK(prefix(text).text() == text);
}

TEST_CASE("ipv4: text without an address or a length of 0 to 32 is not a prefix")
{
    using namespace std::string_view_literals;
    for (const auto text : {""sv, "/"sv, "/16"sv, "192.168.0.0"sv, "192.168/16"sv, "300.0.0.0/8"sv, "fe80::/10"sv})
        check_no_prefix(text);
    for (const auto length : {""sv, "33"sv, "-1"sv, "+8"sv, " 8"sv, "8 "sv, "08"sv, "1.5"sv, "/16"sv, "16/16"sv,
                              "16\0"sv, "255.255.0.0"sv, "4294967312"sv, "99999999999999999999"sv})
        check_no_prefix("192.168.0.0/" + std::string{length});
}

TEST_CASE("ipv4: every length from 0 to 32 has its mask")
{
    for (unsigned length = 0; length <= 32; ++length) {
        CAPTURE(length);
        CHECK(Ipv4Prefix{{0xc0a84d4d}, length}.mask().text() == masks.at(length));
    }
}

TEST_CASE("ipv4: a prefix begins at its network address and ends at its broadcast address")
{
    struct Ends {
        std::string_view prefix, first, last;
    };
    for (const auto &[text, first, last] : {
             Ends{"192.168.77.77/0", "0.0.0.0", "255.255.255.255"},
             Ends{"192.168.77.77/1", "128.0.0.0", "255.255.255.255"},
             Ends{"10.1.2.3/8", "10.0.0.0", "10.255.255.255"},
             Ends{"192.168.77.77/16", "192.168.0.0", "192.168.255.255"},
             Ends{"192.168.77.77/20", "192.168.64.0", "192.168.79.255"},
             Ends{"192.168.77.77/24", "192.168.77.0", "192.168.77.255"},
             Ends{"192.168.77.77/25", "192.168.77.0", "192.168.77.127"},
             Ends{"192.168.77.77/30", "192.168.77.76", "192.168.77.79"},
             Ends{"192.168.77.77/31", "192.168.77.76", "192.168.77.77"},
             Ends{"192.168.77.77/32", "192.168.77.77", "192.168.77.77"},
         }) {
        CAPTURE(text);
        CHECK(prefix(text).first().text() == first);
        CHECK(prefix(text).last().text() == last);
        CHECK(prefix(text).network().first().text() == first);
        CHECK(prefix(text).network().length == prefix(text).length);
    }
}

TEST_CASE("ipv4: for every length from 1 to 30 a prefix overlaps its own ends and neither of its neighbours")
{
    for (unsigned length = 1; length <= 30; ++length) {
        CAPTURE(length);
        // A prefix that is neither the first nor the last of its length, so it has two neighbours (for /1 one).
        const Ipv4Prefix tested{{0x6a5a5a5a}, length};
        const Ipv4Prefix first{tested.first(), 32};
        const Ipv4Prefix last{tested.last(), 32};
        const Ipv4Prefix behind{{tested.last().value + 1}, 32};
        CHECK(std::uint64_t{last.address.value} - first.address.value + 1 == std::uint64_t{1} << (32 - length));
        CHECK(tested.overlaps(first));
        CHECK(tested.overlaps(last));
        CHECK(first.overlaps(tested));
        CHECK(last.overlaps(tested));
        CHECK_FALSE(tested.overlaps(behind));
        CHECK_FALSE(behind.overlaps(tested));
        if (length > 1) {
            const Ipv4Prefix before{{tested.first().value - 1}, 32};
            CHECK_FALSE(tested.overlaps(before));
            CHECK_FALSE(before.overlaps(tested));
        }
    }
}

TEST_CASE("ipv4: two prefixes overlap, in both directions, if one contains the other")
{
    struct Pair {
        std::string_view one, other;
        bool overlap;
    };
    for (const auto &[one, other, overlap] : {
             Pair{"192.168.7.0/24", "192.168.7.0/24", true},
             Pair{"192.168.7.0/24", "192.168.7.200/32", true},
             Pair{"192.168.7.0/24", "192.168.0.0/20", true},
             Pair{"192.168.7.0/24", "0.0.0.0/0", true},
             Pair{"192.168.7.1/24", "192.168.7.254/25", true}, // bits beyond the length do not count
             Pair{"192.168.7.0/24", "192.168.8.0/24", false},
             Pair{"192.168.7.0/24", "192.168.6.0/24", false},
             Pair{"192.168.16.0/24", "192.168.0.0/20", false},
             Pair{"192.168.7.0/25", "192.168.7.128/25", false},
             Pair{"192.168.7.1/32", "192.168.7.2/32", false},
             Pair{"127.0.0.0/1", "128.0.0.0/1", false},
         }) {
        CAPTURE(one, other);
        CHECK(prefix(one).overlaps(prefix(other)) == overlap);
        CHECK(prefix(other).overlaps(prefix(one)) == overlap);
    }
}

TEST_CASE("ipv4: a prefix with bits beyond its length is not a network")
{
    CHECK(prefix("192.168.7.0/24").is_network());
    CHECK(prefix("0.0.0.0/0").is_network());
    CHECK(prefix("192.168.7.1/32").is_network());
    CHECK_FALSE(prefix("192.168.7.1/24").is_network());
    CHECK_FALSE(prefix("192.168.7.2/30").is_network());
    CHECK_FALSE(prefix("0.0.0.1/0").is_network());
}
