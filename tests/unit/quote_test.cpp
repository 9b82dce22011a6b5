// SPDX-License-Identifier: MIT
//
// Foreign text reaches a log line or a terminal only as printable ASCII on one line of limited length.

#include "common/quote.hpp"

#include "tests/catch.hpp"

#include <algorithm>
#include <string>
#include <string_view>

using namespace qemutap;

TEST_CASE("quote: ordinary text is put in double quotes and otherwise unchanged")
{
    CHECK(quote("") == R"("")");
    CHECK(quote("tap7") == R"("tap7")");
    CHECK(quote("a b 'c' $(x) `y` %s {} ~") == R"("a b 'c' $(x) `y` %s {} ~")");
}

TEST_CASE("quote: control bytes, quotes, backslashes and bytes beyond ASCII are written as \\xNN")
{
    using namespace std::string_view_literals;
    CHECK(quote("two\nlines") == R"("two\x0alines")");
    CHECK(quote("\x1b[31mred") == R"("\x1b[31mred")");
    CHECK(quote("a\0b"sv) == R"("a\x00b")");
    CHECK(quote("\t\r\x7f"sv) == R"("\x09\x0d\x7f")");
    CHECK(quote("say \"hi\"") == R"("say \x22hi\x22")");
    CHECK(quote("\\x41") == R"("\x5cx41")");
    CHECK(quote("caf\xc3\xa9") == R"("caf\xc3\xa9")");
    CHECK(quote("\x80\xff") == R"("\x80\xff")");
}

TEST_CASE("quote: each of the 256 bytes becomes printable ASCII")
{
    for (int byte = 0; byte < 256; ++byte) {
        CAPTURE(byte);
        const auto text = quote(std::string(1, static_cast<char>(byte)));
        const bool plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
        CHECK(text.size() == (plain ? 3u : 6u));
        CHECK(std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; }));
        CHECK(text.front() == '"');
        CHECK(text.back() == '"');
    }
}

TEST_CASE("quote: 80 bytes are shown whole, longer text as its first 80 bytes with dots after the closing quote")
{
    const std::string shown(80, 'a');
    CHECK(quote(shown) == "\"" + shown + "\"");
    CHECK(quote(shown + "b") == "\"" + shown + "\"...");
    CHECK(quote(std::string(10'000, 'a')) == "\"" + shown + "\"...");
    const auto escaped = quote(std::string(81, '\x1b'));
    CHECK(escaped.size() == 80 * 4 + 2 + 3);
    CHECK(escaped.substr(escaped.size() - 8) == "\\x1b\"...");
}

TEST_CASE("one_line: a message becomes one line of printable ASCII and is otherwise unchanged")
{
    using namespace std::string_view_literals;
    CHECK(one_line("") == "");
    CHECK(one_line(R"(--level "x\y": not in {a,b})") == R"(--level "x\y": not in {a,b})");
    CHECK(one_line("one\ntwo\tthree\x1b[31m\x7f\0."sv) == "one two three [31m  .");
    CHECK(one_line("caf\xc3\xa9") == R"(caf\xc3\xa9)");
    CHECK(one_line(std::string(1000, 'a')) == std::string(1000, 'a'));
}
