// SPDX-License-Identifier: MIT
//
// The codec of tags: `qemu-tap1 key=value ...`, in one order, single spaces; all keys but `attended`, which only
// attended leases have. An index by another rule than our own has another key.

#include "daemon/core/tap_tag.hpp"

#include "common/label.hpp"
#include "common/number.hpp"
#include "daemon/core/address_plan.hpp"

#include <algorithm>

namespace qemutap {

namespace {

constexpr std::string_view magic = "qemu-tap1";
// With a longer name the longest tag would not fit. dbus-daemon's are shorter.
constexpr std::size_t max_unique_name = 14;
constexpr std::size_t bus_digits = 8;

std::string_view index_key(Profile profile)
{
    return profile == Profile::standard ? "index" : text_of(profile);
}

// Reads `separator key=value` after `separator key=value`; any mismatch makes all that follows fail.
class TagReader {
public:
    explicit TagReader(std::string_view rest)
        : rest_{rest}
    {}

    std::string_view value(std::string_view key, char end = ' ')
    {
        expect(" ");
        expect(key);
        expect("=");
        return until(end);
    }

    std::string_view until(char end)
    {
        const auto text = rest_.substr(0, rest_.find(end));
        rest_.remove_prefix(text.size());
        return text;
    }

    bool is_next(std::string_view key) const
    {
        return rest_.substr(0, 1) == " " && rest_.substr(1, key.size()) == key &&
               rest_.substr(1 + key.size(), 1) == "=";
    }

    void expect(std::string_view text)
    {
        ok_ = ok_ && rest_.substr(0, text.size()) == text;
        rest_.remove_prefix(std::min(text.size(), rest_.size()));
    }

    template <typename Number>
    Number number(std::string_view key, char end = ' ')
    {
        return take(parse_number<Number>(value(key, end)));
    }

    template <typename T>
    T take(std::optional<T> parsed)
    {
        ok_ = ok_ && parsed;
        return parsed.value_or(T{});
    }

    void require(bool condition) { ok_ = ok_ && condition; }
    bool finished() const { return ok_ && rest_.empty(); }

private:
    std::string_view rest_;
    bool ok_ = true;
};

bool in_range(const TapTag &tag)
{
    return is_lease_id(tag.lease) && tag.position < tag.count && tag.count <= max_count &&
           tag.index <= (tag.profile == Profile::standard ? 0xffff : runqemu_pairs - 1) &&
           (tag.profile == Profile::standard || tag.position == 0) && tag.ifindex > 0 && tag.queues >= 1 &&
           tag.queues <= max_queues && tag.idle_timeout_seconds <= max_idle_timeout_seconds &&
           (tag.label.empty() || is_label(tag.label)) &&
           (tag.attendant.empty() || (tag.hold == Hold::name && is_attendant(tag.attendant)));
}

} // namespace

// D-Bus Specification, "Valid Names": a unique name is a colon, then letters, digits and . _ -
bool is_attendant(std::string_view text)
{
    const auto at = text.find('@');
    if (at == std::string_view::npos || at < 2 || at > max_unique_name || text.front() != ':')
        return false;
    const auto name = text.substr(1, at - 1);
    const auto bus = text.substr(at + 1);
    return name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               std::string_view::npos &&
           bus.size() == bus_digits && bus.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string encode(const TapTag &tag)
{
    std::string text{magic};
    const auto put = [&](std::string_view key, std::string_view value) {
        text.append(" ").append(key).append("=").append(value);
    };
    put("lease", tag.lease);
    put("tap", std::to_string(tag.position) + "/" + std::to_string(tag.count));
    put(index_key(tag.profile), std::to_string(tag.index));
    put("ifindex", std::to_string(tag.ifindex));
    put("uid", std::to_string(tag.uid));
    put("hold", text_of(tag.hold));
    put("mac", tag.mac.text());
    put("queues", std::to_string(tag.queues));
    put("vhost", tag.vhost ? "1" : "0");
    put("idle", std::to_string(tag.idle_timeout_seconds));
    if (!tag.attendant.empty())
        put("attended", tag.attendant);
    put("label", tag.label);
    return text;
}

std::optional<TapTag> decode_tag(std::string_view alias)
{
    TagReader reader{alias};
    TapTag tag;
    reader.expect(magic);
    tag.lease = reader.value("lease");
    tag.position = reader.number<unsigned>("tap", '/');
    reader.expect("/");
    tag.count = reader.take(parse_number<unsigned>(reader.until(' ')));
    tag.profile = reader.is_next(index_key(Profile::runqemu)) ? Profile::runqemu : Profile::standard;
    tag.index = reader.number<unsigned>(index_key(tag.profile));
    const auto ifindex = reader.number<unsigned>("ifindex");
    reader.require(ifindex <= 0x7fffffff);
    tag.ifindex = static_cast<int>(ifindex);
    tag.uid = reader.number<uid_t>("uid");
    tag.hold = reader.take(parse_hold(reader.value("hold")));
    tag.mac = reader.take(MacAddress::parse(reader.value("mac")));
    tag.queues = reader.number<unsigned>("queues");
    const auto vhost = reader.number<unsigned>("vhost");
    reader.require(vhost <= 1);
    tag.vhost = vhost == 1;
    tag.idle_timeout_seconds = reader.number<std::uint64_t>("idle");
    if (reader.is_next("attended")) {
        tag.attendant = reader.value("attended");
        reader.require(!tag.attendant.empty());
    }
    tag.label = reader.value("label");
    if (!reader.finished() || !in_range(tag))
        return std::nullopt;
    return tag;
}

} // namespace qemutap
