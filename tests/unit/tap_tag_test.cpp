// SPDX-License-Identifier: MIT
//
// The codec of version 2, both ways: exact texts, the longest one and the room it leaves, and invalid ones.

#include "daemon/core/tap_tag.hpp"

#include "contract/request.hpp"
#include "tests/catch.hpp"

#include <string>

using namespace qemutap;

namespace {

const std::string plain = "qemu-tap2 i=0123456789abcdef t=0/2 x=7 d=12 u=1000 h=n m=525400ab0007 q=1 s=3600 b=86400 "
                          "l=web";
const std::string by_descriptors = "qemu-tap2 i=0123456789abcdef t=1/2 x=7 d=12 u=1000 h=f m=525400ab0007 q=4 v=1";

TapTag plain_tag()
{
    return {.lease = "0123456789abcdef",
            .position = 0,
            .count = 2,
            .index = 7,
            .ifindex = 12,
            .uid = 1000,
            .hold = Hold::name,
            .mac = *MacAddress::parse("52:54:00:ab:00:07"),
            .idle_timeout_seconds = 3600,
            .attendant = {},
            .born_seconds = 86400,
            .label = "web"};
}

TapTag longest_tag()
{
    auto tag = plain_tag();
    tag.position = 31;
    tag.count = 32;
    tag.index = 65535;
    tag.ifindex = 0x7fffffff;
    tag.uid = 0xfffffffe;
    tag.queues = 16;
    tag.idle_timeout_seconds = max_idle_timeout_seconds;
    tag.attendant = ":1.42949672950@0123abcd";
    tag.born_seconds = 0xffffffff;
    tag.label = std::string(63, 'x');
    return tag;
}

std::string replaced(const std::string &what, const std::string &with, std::string text = plain)
{
    return text.replace(text.find(what), what.size(), with);
}

} // namespace

TEST_CASE("a tag has exactly one text")
{
    CHECK(encode(plain_tag()) == plain);
    CHECK(decode_tag(plain) == plain_tag());
}

TEST_CASE("a field that a lease does not have is not in its tag")
{
    auto tag = plain_tag();
    tag.position = 1;
    tag.hold = Hold::fd;
    tag.queues = 4;
    tag.vhost = true;
    tag.idle_timeout_seconds = 0;
    tag.born_seconds.reset();
    tag.label.clear();
    CHECK(encode(tag) == by_descriptors);
    CHECK(decode_tag(by_descriptors) == tag);
}

TEST_CASE("the longest tag has the longest value of every field and leaves 45 bytes")
{
    const auto text = encode(longest_tag());
    CHECK(text == "qemu-tap2 i=0123456789abcdef t=31/32 x=65535 d=2147483647 u=4294967294 h=n m=525400ab0007 q=16 "
                  "s=31536000 a=:1.42949672950@0123abcd b=4294967295 "
                  "l=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    CHECK(decode_tag(text) == longest_tag());
    // Room for a network of 32 bytes (` n=`), its mode (` o=h`), and 6 bytes more.
    CHECK(tag_max_bytes - text.size() == 45);

    // Vhost belongs to a lease by descriptors, which has neither idle timeout nor attendant and is shorter.
    auto other = longest_tag();
    other.hold = Hold::fd;
    other.vhost = true;
    other.idle_timeout_seconds = 0;
    other.attendant.clear();
    CHECK(encode(other).size() < text.size());
    CHECK(decode_tag(encode(other)) == other);
}

TEST_CASE("the birth of a lease is read back to the second, even one at boot")
{
    auto tag = plain_tag();
    tag.born_seconds = 0;
    CHECK(encode(tag) == replaced(" b=86400", " b=0"));
    CHECK(decode_tag(encode(tag)) == tag);
    CHECK_FALSE(decode_tag(replaced(" b=86400", " b=4294967296")));
    CHECK_FALSE(decode_tag(replaced(" b=86400", " b=")));
    CHECK_FALSE(decode_tag(replaced(" b=86400", " b=086400")));
}

TEST_CASE("only an attended lease's tag names an attendant")
{
    auto tag = plain_tag();
    tag.attendant = ":1.23@0123abcd";
    CHECK(encode(tag) == replaced(" b=", " a=:1.23@0123abcd b="));
    CHECK(decode_tag(encode(tag)) == tag);
    CHECK_FALSE(decode_tag(replaced(" v=1", " a=:1.23@0123abcd", by_descriptors)));
}

TEST_CASE("an attendant is a unique name on a bus and nothing else")
{
    for (const auto *text :
         {":1.0@00000000", ":1.4294967295@ffffffff", ":2147483647.1@01234567", ":a-b_C.9@89abcdef"}) {
        CAPTURE(text);
        CHECK(is_attendant(text));
        CHECK(decode_tag(replaced(" b=", " a=" + std::string{text} + " b=")));
    }
    for (const auto *text :
         {"", ":1.23", "1.23@0123abcd", ":@0123abcd", "@0123abcd", ":1.23@", ":1.23@0123abc", ":1.23@0123abcde",
          ":1.23@0123ABCD", ":1.23@@0123abcd", ":1.23@0123abcd@", ":1 23@0123abcd", ":1.23/x@0123abcd",
          ":1.429496729501@0123abcd", "org.x@0123abcd", ":1.23@0123abcd\n", ":\xc3\xbc.1@0123abcd"}) {
        CAPTURE(text);
        CHECK_FALSE(is_attendant(text));
        CHECK_FALSE(decode_tag(replaced(" b=", " a=" + std::string{text} + " b=")));
    }
}

TEST_CASE("an idle timeout is valid with hold name only, and vhost with hold fd only")
{
    CHECK_FALSE(decode_tag(replaced(" q=1", " q=1 v=1")));
    CHECK_FALSE(decode_tag(replaced(" v=1", " s=3600", by_descriptors)));
    CHECK_FALSE(decode_tag(replaced(" v=1", " v=1 s=3600", by_descriptors)));
}

TEST_CASE("an index by runqemu's rule has its own key, and only a first tap has one")
{
    auto tag = plain_tag();
    tag.profile = Profile::runqemu;
    CHECK(encode(tag) == replaced(" x=7", " r=7"));
    CHECK(decode_tag(encode(tag)) == tag);
    tag.index = 126;
    CHECK(decode_tag(encode(tag)) == tag);
    tag.index = 127;
    CHECK_FALSE(decode_tag(encode(tag)));
    tag.index = 0;
    tag.position = 1;
    CHECK_FALSE(decode_tag(encode(tag)));
    CHECK_FALSE(decode_tag(replaced(" x=7", " x=7 r=7")));
    CHECK_FALSE(decode_tag(replaced(" x=7", " r=07")));
}

TEST_CASE("a tag that is cut short is invalid, or exactly the tag of another lease")
{
    // After the last field that every tag has, a shorter text can be the tag of another lease.
    const auto required = plain.find(" q=1") + 4;
    for (std::size_t size = 0; size < required; ++size)
        CHECK_FALSE(decode_tag(plain.substr(0, size)));
    for (auto size = required; size < plain.size(); ++size)
        if (const auto tag = decode_tag(plain.substr(0, size)))
            CHECK(encode(*tag) == plain.substr(0, size));
}

TEST_CASE("a tag with one byte changed to one that no tag contains is invalid")
{
    for (std::size_t i = 0; i < plain.size(); ++i)
        for (const char byte : {'\n', '\x1b', '\xff', '\0', '%'}) {
            auto text = plain;
            text[i] = byte;
            CHECK_FALSE(decode_tag(text));
        }
}

TEST_CASE("a tag with another spelling of a value is invalid")
{
    const auto [what, with] = GENERATE(table<std::string, std::string>({
        {"qemu-tap2", "qemu-tap1"},
        {"qemu-tap2", "qemu-tap3"},
        {"qemu-tap2", "qemu-tap22"},
        {"x=7", "x=07"},
        {"x=7", "x=+7"},
        {"x=7", "x=-7"},
        {"x=7", "x="},
        {"x=7", "x=65536"},
        {"x=7", "x=99999999999999999999"},
        {"t=0/2", "t=2/2"},
        {"t=0/2", "t=0/33"},
        {"t=0/2", "t=0/0"},
        {"t=0/2", "t=0"},
        {"d=12", "d=0"},
        {"d=12", "d=2147483648"},
        {"h=n", "h=name"},
        {"h=n", "h=b"},
        {"h=n", "h="},
        {"m=525400ab0007", "m=52:54:00:ab:00:07"},
        {"m=525400ab0007", "m=525400AB0007"},
        {"m=525400ab0007", "m=525400ab000"},
        {"m=525400ab0007", "m=525400ab00070"},
        {"m=525400ab0007", "m=525400ab000708"},
        {"m=525400ab0007", "m="},
        {"q=1", "q=0"},
        {"q=1", "q=17"},
        {"q=1", "q=1 v=0"},
        {"s=3600", "s=31536001"},
        {"s=3600", "s=0"},
        {"l=web", "l=-web"},
        {"l=web", "l=web "},
        {"l=web", "l=we b"},
        {"l=web", "l="},
        {" x", "  x"},
        {"i=0123456789abcdef", "i=0123456789ABCDEF"},
        {"i=0123456789abcdef", "i=0123456789abcde"},
    }));
    CHECK_FALSE(decode_tag(replaced(what, with)));
}

TEST_CASE("a tag with a missing key, a doubled one or another order is invalid")
{
    CHECK_FALSE(decode_tag(replaced(" q=1", "")));
    CHECK_FALSE(decode_tag(replaced(" q=1", " q=1 q=1")));
    CHECK_FALSE(decode_tag(replaced("m=525400ab0007 q=1", "q=1 m=525400ab0007")));
    CHECK_FALSE(decode_tag(replaced("s=3600 b=86400", "b=86400 s=3600")));
    CHECK_FALSE(decode_tag(plain + " z=1"));
    CHECK_FALSE(decode_tag(plain + " a=:1.23@0123abcd"));
    CHECK_FALSE(decode_tag(replaced(" b=", " a=:1.2@0123abcd a=:1.2@0123abcd b=")));
    CHECK_FALSE(decode_tag(""));
    CHECK_FALSE(decode_tag("qemu-tap2"));
    CHECK_FALSE(decode_tag(std::string(100'000, 'x')));
}
