// SPDX-License-Identifier: MIT
//
// The alias codec reads text that any process with CAP_NET_ADMIN can write, and its result is all that the daemon knows
// of a lease. It must encode whatever it accepts to the same bytes again, and decode any tag within the ranges.

#include "daemon/core/tap_tag.hpp"
#include "tests/faults/fuzz/require.hpp"
#include "tests/unit/tag_version1.hpp"

#include <algorithm>
#include <cstring>

using namespace qemutap;

namespace {

// Takes numbers and choices from the bytes, and zeroes after their end.
class Chooser {
public:
    explicit Chooser(std::string_view bytes)
        : rest_{bytes}
    {}

    // From `first` to `last` inclusive.
    std::uint64_t number(std::uint64_t first, std::uint64_t last)
    {
        std::uint64_t chosen = 0;
        std::memcpy(&chosen, rest_.data(), std::min(rest_.size(), sizeof chosen));
        rest_.remove_prefix(std::min(rest_.size(), sizeof chosen));
        return first + chosen % (last - first + 1);
    }

    std::string text(std::size_t size, std::string_view alphabet)
    {
        std::string text;
        while (text.size() < size)
            text += alphabet[static_cast<std::size_t>(number(0, alphabet.size() - 1))];
        return text;
    }

private:
    std::string_view rest_;
};

TapTag tag_of(std::string_view bytes)
{
    Chooser choose{bytes};
    TapTag tag;
    tag.count = static_cast<unsigned>(choose.number(1, 32));
    tag.position = static_cast<unsigned>(choose.number(0, tag.count - 1));
    tag.index = static_cast<unsigned>(choose.number(0, 0xffff));
    if (tag.position == 0 && choose.number(0, 1) != 0) {
        tag.profile = Profile::runqemu;
        tag.index %= 127;
    }
    tag.ifindex = static_cast<int>(choose.number(1, 0x7fffffff));
    tag.uid = static_cast<uid_t>(choose.number(0, 0xffffffff));
    tag.hold = choose.number(0, 1) ? Hold::name : Hold::fd;
    for (auto &byte : tag.mac.bytes)
        byte = static_cast<std::uint8_t>(choose.number(0, 255));
    tag.queues = static_cast<unsigned>(choose.number(1, 16));
    tag.vhost = choose.number(0, 1) != 0 && tag.hold == Hold::fd;
    tag.idle_timeout_seconds = tag.hold == Hold::name ? choose.number(0, 31'536'000) : 0;
    if (choose.number(0, 1) != 0)
        tag.born_seconds = choose.number(0, 0xffffffff);
    const std::string letters = "abcxyzABCXYZ0189";
    if (const auto size = choose.number(0, 63); size != 0)
        tag.label = choose.text(1, letters) + choose.text(size - 1, letters + "._:@+-");
    tag.lease = choose.text(16, "0123456789abcdef");
    if (tag.hold == Hold::name && choose.number(0, 1) != 0)
        tag.attendant =
            ":" + choose.text(choose.number(1, 13), letters + "._-") + "@" + choose.text(8, "0123456789abcdef");
    return tag;
}

void require_ranges(const TapTag &tag)
{
    const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    const auto is_word = [](char c) { return c > ' ' && c < 0x7f; };
    require(tag.lease.size() == 16 && std::all_of(tag.lease.begin(), tag.lease.end(), is_hex),
            "a lease's id is 16 hexadecimal digits");
    require(tag.count >= 1 && tag.count <= 32 && tag.position < tag.count, "a tap's position is within its lease");
    require(tag.profile == Profile::standard || (tag.index < 127 && tag.position == 0),
            "runqemu's rule has 127 indexes, for a lease's first tap");
    require(tag.index <= 0xffff && tag.ifindex > 0, "index and ifindex are in their ranges");
    require(tag.queues >= 1 && tag.queues <= 16, "queues are 1 to 16");
    require(tag.idle_timeout_seconds <= 31'536'000, "the idle timeout is at most a year");
    require(tag.attendant.empty() || (tag.hold == Hold::name && tag.attendant.size() <= 23 &&
                                      std::all_of(tag.attendant.begin(), tag.attendant.end(), is_word)),
            "only a lease by name has an attendant, which is one word");
    require(tag.born_seconds.value_or(0) <= 0xffffffff, "a birth has at most ten digits");
    require(tag.label.size() <= 63 && std::all_of(tag.label.begin(), tag.label.end(), is_word), "a label is one word");
}

// An alias that is accepted has values in range and is their only spelling in its version.
bool check_text(std::string_view alias)
{
    const auto tag = decode_tag(alias);
    if (!tag)
        return false;
    require_ranges(*tag);
    const auto text = alias.starts_with("qemu-tap1") ? version1_text(*tag) : encode(*tag);
    require_equal(text, std::string{alias}, "a decoded tag encodes to the same text");
    require(alias.size() <= tag_max_bytes, "a decoded tag fits into the kernel's alias");
    return true;
}

// A valid text, shortened or with one byte changed, is another tag or none.
void check_variants(std::string text, const std::uint8_t *bytes, std::size_t size)
{
    require(check_text(text), "a tag within the ranges is accepted");
    const std::size_t place = size < 2 ? 0 : (bytes[0] * 256u + bytes[1]) % text.size();
    check_text(std::string_view{text}.substr(0, place));
    text[place] = size < 3 ? ' ' : static_cast<char>(bytes[2]);
    check_text(text);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *bytes, std::size_t size)
{
    const auto given = text_of(bytes, size);
    check_text(given);

    auto tag = tag_of(given);
    require(decode_tag(encode(tag)) == tag, "a tag within the ranges decodes to itself");
    check_variants(encode(tag), bytes, size);
    tag.born_seconds.reset();
    require(decode_tag(version1_text(tag)) == tag, "a tag of version 1 within the ranges decodes to itself");
    check_variants(version1_text(tag), bytes, size);
    return 0;
}
