// SPDX-License-Identifier: MIT
//
// Valid labels: the length, the first byte, and the alphabet byte by byte.

#include "common/label.hpp"

#include "tests/catch.hpp"

#include <string>
#include <string_view>

using namespace qemutap;

namespace {

constexpr std::string_view letters_and_digits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
constexpr std::string_view marks = "._:@+-";

} // namespace

TEST_CASE("label: 1 to 63 bytes are a label; 0, 64, 65 and 10,000 are not")
{
    CHECK(is_label(std::string(1, 'a')));
    CHECK(is_label(std::string(62, 'a')));
    CHECK(is_label(std::string(63, 'a')));
    CHECK_FALSE(is_label(""));
    CHECK_FALSE(is_label(std::string(64, 'a')));
    CHECK_FALSE(is_label(std::string(65, 'a')));
    CHECK_FALSE(is_label(std::string(10'000, 'a')));
}

TEST_CASE("label: of all 256 bytes only letters and digits can come first")
{
    for (int byte = 0; byte < 256; ++byte) {
        CAPTURE(byte);
        const auto c = static_cast<char>(byte);
        CHECK(is_label(std::string(1, c)) == (letters_and_digits.find(c) != std::string_view::npos));
    }
}

TEST_CASE("label: of all 256 bytes only letters, digits and . _ : @ + - can follow")
{
    for (int byte = 0; byte < 256; ++byte) {
        CAPTURE(byte);
        const auto c = static_cast<char>(byte);
        const bool allowed =
            letters_and_digits.find(c) != std::string_view::npos || marks.find(c) != std::string_view::npos;
        CHECK(is_label(std::string{"a"} + c) == allowed);
        CHECK(is_label(std::string{"a"} + c + "b") == allowed);
    }
}

TEST_CASE("label: usual names are labels")
{
    for (const auto *text : {"ci", "7", "build-42", "core-image.qemux86-64", "user@host:2", "a+b", "A._:@+-"}) {
        CAPTURE(text);
        CHECK(is_label(text));
    }
}

TEST_CASE("label: text that a shell, a terminal or a log could misread is not a label")
{
    using namespace std::string_view_literals;
    for (const auto text :
         {"$(x)"sv, "a$(x)"sv,   "`x`"sv,         "two\nlines"sv, "a\n"sv,  "\x1b[31mred"sv, "a\x1b"sv,
          "a b"sv,  "caf\xe9"sv, "caf\xc3\xa9"sv, "a\xff\xfe"sv,  "a=b"sv,  "a/b"sv,         "../a"sv,
          "-rf"sv,  "--all"sv,   ".hidden"sv,     "a'b"sv,        "a\"b"sv, "a\\b"sv,        "a;b"sv,
          "a*"sv,   "a%d"sv,     "a,b"sv,         "a\0"sv}) {
        CAPTURE(text);
        CHECK_FALSE(is_label(text));
    }
}
