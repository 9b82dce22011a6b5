// SPDX-License-Identifier: MIT
//
// Ethernet addresses have one spelling, so two texts are equal exactly if the addresses are.

#include "common/mac_address.hpp"

#include "tests/catch.hpp"

#include <cstdint>
#include <string_view>

using namespace qemutap;

TEST_CASE("mac address: it is written as six pairs of lower-case hex digits")
{
    CHECK(MacAddress{}.text() == "00:00:00:00:00:00");
    CHECK(MacAddress{{0x52, 0x54, 0x00, 0xab, 0x01, 0x07}}.text() == "52:54:00:ab:01:07");
    CHECK(MacAddress{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}.text() == "ff:ff:ff:ff:ff:ff");
}

TEST_CASE("mac address: the written text is read back")
{
    const auto mac = MacAddress::parse("fe:54:00:9c:0a:f0");
    REQUIRE(mac.has_value());
    CHECK(*mac == MacAddress{{0xfe, 0x54, 0x00, 0x9c, 0x0a, 0xf0}});
    for (unsigned byte = 0; byte < 256; ++byte) {
        CAPTURE(byte);
        const MacAddress written{{0x52, 0x54, 0, static_cast<std::uint8_t>(byte), 1, static_cast<std::uint8_t>(byte)}};
        CHECK(MacAddress::parse(written.text()) == written);
    }
}

TEST_CASE("mac address: any other spelling is refused")
{
    using namespace std::string_view_literals;
    for (const auto text : {""sv, "52:54:00:ab:01"sv, "52:54:00:ab:01:"sv, "52:54:00:ab:01:07:08"sv,
                            "52:54:00:AB:01:07"sv, "52-54-00-ab-01-07"sv, "5254.00ab.0107"sv, "525400ab0107"sv,
                            "52:54:0:ab:1:7"sv, "52:54:00:ab:01:0g"sv, "52:54:00:ab:01:07 "sv, " 52:54:00:ab:01:07"sv,
                            "52:54:00:ab:01:7"sv, "52:54:00:ab:01 07"sv, "52:54:00:ab:0107:"sv, "+2:54:00:ab:01:07"sv,
                            "0x:54:00:ab:01:07"sv, "52:54:00:ab:01:07\n"sv, "52:54:00:ab:01:0\0"sv}) {
        CAPTURE(text);
        CHECK(MacAddress::parse(text) == std::nullopt);
    }
}
