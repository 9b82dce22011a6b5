// SPDX-License-Identifier: MIT
//
// Any user on the bus can send any options. This file decides a second time, from the interface's text
// (dbus/org.qemutap1.xml), which options are right, and compares. The reader refuses wrong ones with one error and
// throws no other.
//
// The bytes are lines: the count, then `key=TYPEvalue`, with TYPE as D-Bus spells it, `-` for a variant without a
// value. They are read twice: one option after the other, as from a message, and as the dictionary that such a message
// makes.

#include "daemon/bus/wire.hpp"

#include "contract/hold.hpp"
#include "contract/profile.hpp"
#include "tests/faults/fuzz/accepted.hpp"
#include "tests/faults/fuzz/require.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>

using namespace qemutap;

namespace {

struct Value {
    char type = '-';
    std::string text;
    std::uint64_t number = 0;
};
using Entries = std::vector<std::pair<std::string, Value>>;
using Options = std::map<std::string, Value>;

// Reads decimal digits; a number beyond 64 bits wraps.
std::uint64_t number_of(std::string_view text)
{
    std::uint64_t number = 0;
    for (const char c : text)
        number = number * 10 + static_cast<unsigned char>(c - '0');
    return number;
}

Entries entries_of(const std::vector<std::string_view> &lines)
{
    Entries entries;
    for (std::size_t i = 1; i < lines.size(); ++i) {
        auto line = lines[i];
        const std::string key{cut(line, '=')};
        const char type = line.empty() ? '-' : line.front();
        line.remove_prefix(std::min<std::size_t>(line.size(), 1));
        entries.push_back({key, {type, std::string{line.substr(0, line.find('\0'))}, number_of(line)}});
    }
    return entries;
}

// Returns nullopt if a key occurs twice.
std::optional<Options> options_of(const Entries &entries)
{
    Options options;
    for (const auto &[key, value] : entries)
        if (!options.emplace(key, value).second)
            return std::nullopt;
    return options;
}

class EntrySource final : public OptionSource {
public:
    explicit EntrySource(const Entries &entries)
        : entries_{entries}
    {}

    std::optional<OptionView> next() override
    {
        require(!ended_, "the reader asks for no option after the last one");
        if (taken_ == entries_.size()) {
            ended_ = true;
            return std::nullopt;
        }
        require(taken_ <= max_options, "the reader asks for no option after the ninth");
        const auto &[key, value] = entries_[taken_++];
        return OptionView{key, view(value)};
    }

private:
    static decltype(OptionView::value) view(const Value &value)
    {
        if (value.type == 's')
            return std::string_view{value.text};
        if (value.type == 'u')
            return static_cast<std::uint32_t>(value.number);
        if (value.type == 't')
            return value.number;
        if (value.type == 'b')
            return value.number % 2 == 1;
        return {};
    }

    const Entries &entries_;
    std::size_t taken_ = 0;
    bool ended_ = false;
};

template <typename Number>
sdbus::Variant number_variant(const Value &value)
{
    return sdbus::Variant{static_cast<Number>(value.number)};
}

sdbus::Variant container_variant(const Value &value)
{
    if (value.type == 'v')
        return sdbus::Variant{std::vector<sdbus::Variant>{sdbus::Variant{value.text}}};
    if (value.type == 'a')
        return sdbus::Variant{std::vector<std::string>{value.text}};
    if (value.type == 'e')
        return sdbus::Variant{std::map<std::string, sdbus::Variant>{{value.text, sdbus::Variant{value.number}}}};
    return sdbus::Variant{sdbus::Struct<std::string, std::uint32_t>{value.text, 1u}};
}

// Throws sdbus::Error for a value that no message could carry.
sdbus::Variant variant_of(const Value &value)
{
    switch (value.type) {
    case 's':
        return sdbus::Variant{value.text};
    case 'o':
        return sdbus::Variant{sdbus::ObjectPath{value.text}};
    case 'g':
        return sdbus::Variant{sdbus::Signature{value.text}};
    case 'b':
        return sdbus::Variant{value.number % 2 == 1};
    case 'y':
        return number_variant<std::uint8_t>(value);
    case 'n':
        return number_variant<std::int16_t>(value);
    case 'q':
        return number_variant<std::uint16_t>(value);
    case 'i':
        return number_variant<std::int32_t>(value);
    case 'u':
        return number_variant<std::uint32_t>(value);
    case 'x':
        return number_variant<std::int64_t>(value);
    case 't':
        return number_variant<std::uint64_t>(value);
    case 'd':
        return number_variant<double>(value);
    case 'h':
        return sdbus::Variant{sdbus::UnixFd{0}};
    case 'v':
    case 'a':
    case 'e':
    case 'r':
        return container_variant(value);
    default:
        return {};
    }
}

bool one_of(const std::string &text, std::initializer_list<const char *> words)
{
    return std::find(words.begin(), words.end(), text) != words.end();
}

bool may_be_label(const std::string &text)
{
    const auto first = [](unsigned char c) { return c < 0x80 && (std::isalnum(c) != 0); };
    const auto later = [&](unsigned char c) { return first(c) || (c != 0 && std::strchr("._:@+-", c) != nullptr); };
    return !text.empty() && text.size() <= 63 && first(static_cast<unsigned char>(text[0])) &&
           std::all_of(text.begin(), text.end(), later);
}

// Returns whether the interface allows this option by itself.
bool may_be_option(const std::string &key, const Value &value)
{
    if (key == "hold")
        return value.type == 's' && one_of(value.text, {"fd", "name"});
    if (key == "label")
        return value.type == 's' && may_be_label(value.text);
    if (key == "queues")
        return value.type == 'u';
    if (key == "vhost")
        return value.type == 's' && one_of(value.text, {"no", "auto", "yes"});
    if (key == "idle-timeout")
        return value.type == 't' && value.number >= 1 && value.number <= 31'536'000;
    if (key == "profile")
        return value.type == 's' && one_of(value.text, {"standard", "runqemu"});
    return (key == "attended" || key == "interactive") && value.type == 'b';
}

// Returns the request that the interface says these options make together, or nullopt.
std::optional<TapRequest> expected(std::uint32_t count, const Options &options)
{
    for (const auto &[key, value] : options)
        if (!may_be_option(key, value))
            return std::nullopt;
    const auto value = [&](const char *key) {
        const auto at = options.find(key);
        return at == options.end() ? Value{} : at->second;
    };
    TapRequest request;
    request.count = count;
    request.hold = value("hold").text == "name" ? Hold::name : Hold::fd;
    request.label = value("label").text;
    request.queues = options.count("queues") != 0 ? static_cast<std::uint32_t>(value("queues").number) : 1;
    const auto vhost = value("vhost").text;
    request.vhost = vhost == "yes"    ? VhostChoice::required
                    : vhost == "auto" ? VhostChoice::when_possible
                                      : VhostChoice::no;
    request.idle_timeout_seconds = value("idle-timeout").number;
    request.attended = value("attended").number % 2 == 1;
    request.profile = value("profile").text == "runqemu" ? Profile::runqemu : Profile::standard;
    request.interactive = value("interactive").number % 2 == 1;
    const bool by_name = request.hold == Hold::name;
    if (count < 1 || count > 32 || request.queues < 1 || request.queues > 16)
        return std::nullopt;
    if (by_name ? vhost == "yes" : request.idle_timeout_seconds != 0 || request.attended)
        return std::nullopt;
    if (!by_name && count * request.queues * (vhost == "yes" ? 2 : 1) > 16)
        return std::nullopt;
    return request;
}

bool may_be_listed(const Options &options)
{
    return std::all_of(options.begin(), options.end(), [](const auto &option) {
        return one_of(option.first, {"all", "interactive", "columns"}) && option.second.type == 'b';
    });
}

void read_dictionary(std::uint32_t count, const Options &options, const std::optional<TapRequest> &request, bool listed)
{
    Dictionary dictionary;
    try {
        for (const auto &[key, value] : options)
            dictionary.emplace(key, variant_of(value));
    } catch (const sdbus::Error &) {
        return; // no caller can send these values
    }
    require(accepted([&] { return parse_acquire(count, dictionary); }) == request,
            "the options of Acquire mean the same as a dictionary");
    require(accepted([&] { return parse_list(dictionary); }).has_value() == listed,
            "the options of List mean the same as a dictionary");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *bytes, std::size_t size)
{
    const auto lines = lines_of(text_of(bytes, size));
    const auto count = static_cast<std::uint32_t>(lines.empty() ? 1 : number_of(lines.front()));
    const auto entries = entries_of(lines);
    const auto options = options_of(entries);
    EntrySource acquire_source{entries};
    const auto request = accepted([&] { return parse_acquire(count, acquire_source); });
    require(request == (options ? expected(count, *options) : std::nullopt),
            "the options of Acquire are read as the interface says, or refused");
    EntrySource list_source{entries};
    const auto list = accepted([&] { return parse_list(list_source); });
    require(list.has_value() == (options && may_be_listed(*options)),
            "the options of List are read as the interface says, or refused");
    if (list) {
        const auto is_set = [&](const char *key) {
            return options->count(key) != 0 && options->at(key).number % 2 == 1;
        };
        require(list->all == is_set("all") && list->interactive == is_set("interactive") &&
                    list->columns == is_set("columns"),
                "a List has the values of its options");
    }
    if (options)
        read_dictionary(count, *options, request, list.has_value());
    return 0;
}
