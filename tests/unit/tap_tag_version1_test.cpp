// SPDX-License-Identifier: MIT
//
// Tags of version 1, which an upgraded daemon finds on its predecessor's taps: exact texts, the longest one, and
// invalid ones.

#include "tests/unit/tag_version1.hpp"

#include "common/mac_address.hpp"
#include "contract/hold.hpp"
#include "contract/profile.hpp"
#include "contract/request.hpp"
#include "tests/catch.hpp"

#include <string>

using namespace qemutap;

namespace {

const std::string plain = "qemu-tap1 lease=0123456789abcdef tap=0/2 index=7 ifindex=12 uid=1000 hold=name "
                          "mac=52:54:00:ab:00:07 queues=1 vhost=0 idle=3600 label=web";

TapTag plain_tag()
{
    TapTag tag;
    tag.lease = "0123456789abcdef";
    tag.position = 0;
    tag.count = 2;
    tag.index = 7;
    tag.ifindex = 12;
    tag.uid = 1000;
    tag.hold = Hold::name;
    tag.mac = *MacAddress::parse("52:54:00:ab:00:07");
    tag.idle_timeout_seconds = 3600;
    tag.label = "web";
    return tag;
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
    tag.vhost = true;
    tag.idle_timeout_seconds = max_idle_timeout_seconds;
    tag.attendant = ":1.42949672950@0123abcd";
    tag.label = std::string(63, 'x');
    return tag;
}

std::string replaced(const std::string &what, const std::string &with)
{
    auto text = plain;
    return text.replace(text.find(what), what.size(), with);
}

} // namespace

TEST_CASE("a tag of version 1 is read, and has no birth")
{
    CHECK(version1_text(plain_tag()) == plain);
    CHECK(decode_tag(plain) == plain_tag());
    CHECK_FALSE(decode_tag(plain)->born_seconds);
}

TEST_CASE("a tag that was read in version 1 is written in version 2")
{
    CHECK(encode(*decode_tag(plain)) == "qemu-tap2 i=0123456789abcdef t=0/2 x=7 d=12 u=1000 h=n m=525400ab0007 q=1 "
                                        "s=3600 l=web");
    CHECK(decode_tag(encode(*decode_tag(plain))) == plain_tag());
}

TEST_CASE("the longest tag of version 1 fits into the kernel's 255 bytes and is read back")
{
    const auto text = version1_text(longest_tag());
    CHECK(text.size() <= 255);
    CHECK(decode_tag(text) == longest_tag());
}

TEST_CASE("a tag of version 1 without a label ends with the empty label")
{
    auto tag = plain_tag();
    tag.label.clear();
    CHECK(version1_text(tag).substr(version1_text(tag).size() - 7) == " label=");
    CHECK(decode_tag(version1_text(tag)) == tag);
}

TEST_CASE("version 1: only an attended lease's tag names an attendant, before the label")
{
    auto tag = plain_tag();
    tag.attendant = ":1.23@0123abcd";
    CHECK(version1_text(tag) == replaced(" label=web", " attended=:1.23@0123abcd label=web"));
    CHECK(decode_tag(version1_text(tag)) == tag);
    tag.hold = Hold::fd;
    CHECK_FALSE(decode_tag(version1_text(tag)));
}

TEST_CASE("version 1: an attendant is a unique name on a bus and nothing else")
{
    for (const auto *text :
         {":1.0@00000000", ":1.4294967295@ffffffff", ":2147483647.1@01234567", ":a-b_C.9@89abcdef"}) {
        CAPTURE(text);
        CHECK(is_attendant(text));
        CHECK(decode_tag(replaced(" label", " attended=" + std::string{text} + " label")));
    }
    for (const auto *text :
         {"", ":1.23", "1.23@0123abcd", ":@0123abcd", "@0123abcd", ":1.23@", ":1.23@0123abc", ":1.23@0123abcde",
          ":1.23@0123ABCD", ":1.23@@0123abcd", ":1.23@0123abcd@", ":1 23@0123abcd", ":1.23/x@0123abcd",
          ":1.429496729501@0123abcd", "org.x@0123abcd", ":1.23@0123abcd\n", ":\xc3\xbc.1@0123abcd"}) {
        CAPTURE(text);
        CHECK_FALSE(is_attendant(text));
        CHECK_FALSE(decode_tag(replaced(" label", " attended=" + std::string{text} + " label")));
    }
}

TEST_CASE("version 1: an index by runqemu's rule has its own key, and only a first tap has one")
{
    auto tag = plain_tag();
    tag.profile = Profile::runqemu;
    CHECK(version1_text(tag) == replaced(" index=7", " runqemu=7"));
    CHECK(decode_tag(version1_text(tag)) == tag);
    tag.index = 126;
    CHECK(decode_tag(version1_text(tag)) == tag);
    tag.index = 127;
    CHECK_FALSE(decode_tag(version1_text(tag)));
    tag.index = 0;
    tag.position = 1;
    CHECK_FALSE(decode_tag(version1_text(tag)));
    CHECK_FALSE(decode_tag(replaced(" index=7", " index=7 runqemu=7")));
    CHECK_FALSE(decode_tag(replaced(" index=7", " runqemu=07")));

    auto longest = longest_tag();
    longest.profile = Profile::runqemu;
    longest.index = 126;
    longest.position = 0;
    CHECK(version1_text(longest).size() <= 255);
    CHECK(decode_tag(version1_text(longest)) == longest);
}

TEST_CASE("version 1: a tag that is cut short anywhere is invalid")
{
    // Without the last bytes of its label a tag is still valid: a shorter label is a label.
    for (std::size_t size = 0; size < plain.size() - 3; ++size)
        CHECK_FALSE(decode_tag(plain.substr(0, size)));
}

TEST_CASE("version 1: a tag with one byte changed to one that no tag contains is invalid")
{
    for (std::size_t i = 0; i < plain.size(); ++i)
        for (const char byte : {'\n', '\x1b', '\xff', '\0', '%'}) {
            auto text = plain;
            text[i] = byte;
            CHECK_FALSE(decode_tag(text));
        }
}

TEST_CASE("version 1: a tag with another spelling of a value is invalid")
{
    const auto [what, with] = GENERATE(table<std::string, std::string>({
        {"qemu-tap1", "qemu-tap2"},
        {"qemu-tap1", "qemu-tap3"},
        {"index=7", "index=07"},
        {"index=7", "index=+7"},
        {"index=7", "index=-7"},
        {"index=7", "index="},
        {"index=7", "index=65536"},
        {"index=7", "index=99999999999999999999"},
        {"tap=0/2", "tap=2/2"},
        {"tap=0/2", "tap=0/33"},
        {"tap=0/2", "tap=0/0"},
        {"tap=0/2", "tap=0"},
        {"ifindex=12", "ifindex=0"},
        {"ifindex=12", "ifindex=2147483648"},
        {"hold=name", "hold=both"},
        {"mac=52:54:00:ab:00:07", "mac=52:54:00:AB:00:07"},
        {"queues=1", "queues=0"},
        {"queues=1", "queues=17"},
        {"vhost=0", "vhost=2"},
        {"idle=3600", "idle=31536001"},
        {"label=web", "label=-web"},
        {"label=web", "label=web "},
        {"label=web", "label=we b"},
        {" index", "  index"},
        {"lease=0123456789abcdef", "lease=0123456789ABCDEF"},
        {"lease=0123456789abcdef", "lease=0123456789abcde"},
    }));
    CHECK_FALSE(decode_tag(replaced(what, with)));
}

TEST_CASE("version 1: a tag with a missing key, a doubled one or another order is invalid")
{
    CHECK_FALSE(decode_tag(replaced(" vhost=0", "")));
    CHECK_FALSE(decode_tag(replaced(" vhost=0", " vhost=0 vhost=0")));
    CHECK_FALSE(decode_tag(replaced("queues=1 vhost=0", "vhost=0 queues=1")));
    CHECK_FALSE(decode_tag(plain + " more=1"));
    CHECK_FALSE(decode_tag(plain + " attended=:1.23@0123abcd"));
    CHECK_FALSE(decode_tag(replaced(" label", " attended=:1.2@0123abcd attended=:1.2@0123abcd label")));
    CHECK_FALSE(decode_tag(""));
    CHECK_FALSE(decode_tag(std::string(100'000, 'x')));
}
