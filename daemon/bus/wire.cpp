// SPDX-License-Identifier: MIT
//
// Reading and writing dictionaries. A variant is asked for its type before it is read: reading a wrong one
// throws sdbus-c++'s own error. A text is looked at before it is copied: it can be as long as a message.

#include "daemon/bus/wire.hpp"

#include "common/ipv4.hpp"
#include "common/label.hpp"
#include "common/quote.hpp"
#include "contract/bus_names.hpp"
#include "contract/fields.hpp"
#include "contract/grant.hpp"
#include "contract/hold.hpp"
#include "contract/profile.hpp"
#include "contract/request.hpp"

#include <algorithm>
#include <functional>
#include <set>

namespace qemutap {

namespace {

[[noreturn]] void refuse(const std::string &text)
{
    throw TapError{ErrorCode::invalid_argument, text};
}

template <typename T>
constexpr const char *type_name = nullptr;
template <>
constexpr const char *type_name<std::string_view> = "a string (s)";
template <>
constexpr const char *type_name<std::uint32_t> = "a number of type u";
template <>
constexpr const char *type_name<std::uint64_t> = "a number of type t";
template <>
constexpr const char *type_name<bool> = "a boolean (b)";

using Value = decltype(OptionView::value);

template <typename T>
T read(std::string_view key, const Value &value)
{
    if (!std::holds_alternative<T>(value))
        refuse("option " + std::string{key} + " must be " + type_name<T>);
    return std::get<T>(value);
}

template <typename T>
T read_word(std::string_view key, const Value &value, std::optional<T> (*parse)(std::string_view), const char *words)
{
    const auto text = read<std::string_view>(key, value);
    const auto parsed = parse(text);
    if (!parsed)
        refuse("option " + std::string{key} + " is " + quote(text) + ", but must be " + words);
    return *parsed;
}

std::string read_label(std::string_view key, const Value &value)
{
    const auto label = read<std::string_view>(key, value);
    if (!is_label(label))
        refuse("label " + quote(label) + " can't be: " + std::string{label_rule});
    return std::string{label};
}

using Readers = std::map<std::string, std::function<void(std::string_view, const Value &)>, std::less<>>;

void read_options(OptionSource &options, const Readers &readers)
{
    std::set<std::string_view> given;
    while (const auto option = options.next()) {
        if (given.size() == max_options)
            refuse("more than " + std::to_string(max_options) + " options are given");
        const auto reader = readers.find(option->key);
        if (reader == readers.end()) {
            std::string known;
            for (const auto &[name, unused] : readers)
                known += (known.empty() ? "" : ", ") + name;
            refuse("unknown option " + quote(option->key) + "; there are: " + known);
        }
        if (!given.insert(reader->first).second)
            refuse("option " + reader->first + " is given twice");
        reader->second(reader->first, option->value);
    }
}

class DictionaryOptions final : public OptionSource {
public:
    explicit DictionaryOptions(const Dictionary &options)
        : at_{options.begin()},
          end_{options.end()}
    {}

    std::optional<OptionView> next() override
    {
        if (at_ == end_)
            return std::nullopt;
        const auto &[key, value] = *at_++;
        if (value.isEmpty())
            return OptionView{key, {}};
        if (value.containsValueOfType<std::string>()) {
            text_ = value.get<std::string>();
            return OptionView{key, std::string_view{text_}};
        }
        if (value.containsValueOfType<std::uint32_t>())
            return OptionView{key, value.get<std::uint32_t>()};
        if (value.containsValueOfType<std::uint64_t>())
            return OptionView{key, value.get<std::uint64_t>()};
        if (value.containsValueOfType<bool>())
            return OptionView{key, value.get<bool>()};
        return OptionView{key, {}};
    }

private:
    Dictionary::const_iterator at_;
    Dictionary::const_iterator end_;
    std::string text_;
};

template <typename Fields, typename Grant>
Dictionary dictionary_of(const Fields &fields, const Grant &grant)
{
    Dictionary dictionary;
    for_each_field(fields, [&](const auto &field) {
        for_each_key(field, [&](const char *key) { dictionary.emplace(key, sdbus::Variant{field.get(grant)}); });
    });
    return dictionary;
}

// Adds an array for each field, with an element for each of `rows`, which point to grants.
template <typename Fields, typename Grant>
void add_columns(Dictionary &dictionary, const Fields &fields, const std::vector<const Grant *> &rows)
{
    for_each_field(fields, [&](const auto &field) {
        std::vector<decltype(field.get(*rows.front()))> values;
        values.reserve(rows.size());
        for (const auto *row : rows)
            values.push_back(field.get(*row));
        for_each_key(field, [&](const char *key) { dictionary.emplace(key, sdbus::Variant{values}); });
    });
}

} // namespace

TapRequest parse_acquire(std::uint32_t count, OptionSource &options)
{
    TapRequest request;
    request.count = count;
    read_options(
        options,
        {
            {key_hold,
             [&](const auto &key, const auto &value) {
                 request.hold = read_word<Hold>(key, value, parse_hold, "'fd' or 'name'");
             }},
            {key_label, [&](const auto &key, const auto &value) { request.label = read_label(key, value); }},
            {key_queues, [&](const auto &key, const auto &value) { request.queues = read<std::uint32_t>(key, value); }},
            {key_vhost,
             [&](const auto &key, const auto &value) {
                 request.vhost = read_word<VhostChoice>(key, value, parse_vhost_choice, "'no', 'auto' or 'yes'");
             }},
            {key_vnet, [&](const auto &key, const auto &value) { request.vnet = read<bool>(key, value); }},
            {key_idle_timeout,
             [&](const auto &key, const auto &value) {
                 request.idle_timeout_seconds = read<std::uint64_t>(key, value);
                 if (request.idle_timeout_seconds == 0)
                     refuse("idle-timeout 0 is out of range: leave it out for none");
             }},
            {key_attended, [&](const auto &key, const auto &value) { request.attended = read<bool>(key, value); }},
            {key_profile,
             [&](const auto &key, const auto &value) {
                 request.profile = read_word<Profile>(key, value, parse_profile, "'standard' or 'runqemu'");
             }},
            {key_interactive,
             [&](const auto &key, const auto &value) { request.interactive = read<bool>(key, value); }},
        });
    validate(request);
    return request;
}

TapRequest parse_acquire(std::uint32_t count, const Dictionary &options)
{
    DictionaryOptions source{options};
    return parse_acquire(count, source);
}

ListRequest parse_list(OptionSource &options)
{
    ListRequest request;
    read_options(
        options,
        {
            {key_all, [&](const auto &key, const auto &value) { request.all = read<bool>(key, value); }},
            {key_interactive,
             [&](const auto &key, const auto &value) { request.interactive = read<bool>(key, value); }},
            {key_columns, [&](const auto &key, const auto &value) { request.columns = read<bool>(key, value); }},
        });
    return request;
}

ListRequest parse_list(const Dictionary &options)
{
    DictionaryOptions source{options};
    return parse_list(source);
}

std::map<std::string, std::string> request_details(const TapRequest &request)
{
    std::map<std::string, std::string> details{
        {"count", std::to_string(request.count)},
        {key_hold, std::string{text_of(request.hold)}},
        {key_queues, std::to_string(request.queues)},
        {key_vhost, std::string{text_of(request.vhost)}},
    };
    if (!request.label.empty())
        details.emplace(key_label, request.label);
    return details;
}

TapError no_such_lease(std::string_view lease)
{
    return {ErrorCode::no_such_lease, "there is no lease " + quote(lease) + " of yours"};
}

std::vector<Dictionary> taps_on_wire(const std::vector<TapGrant> &taps)
{
    std::vector<Dictionary> dictionaries;
    dictionaries.reserve(taps.size());
    for (const auto &tap : taps)
        dictionaries.push_back(dictionary_of(tap_fields, tap));
    return dictionaries;
}

Dictionary lease_on_wire(const LeaseGrant &lease)
{
    auto dictionary = dictionary_of(lease_fields, lease);
    dictionary.emplace(key_taps, sdbus::Variant{taps_on_wire(lease.taps)});
    return dictionary;
}

Dictionary leases_in_columns(const std::vector<LeaseGrant> &leases)
{
    std::vector<const LeaseGrant *> lease_rows;
    std::vector<const TapGrant *> tap_rows;
    std::vector<std::uint32_t> tap_counts;
    for (const auto &lease : leases) {
        lease_rows.push_back(&lease);
        tap_counts.push_back(static_cast<std::uint32_t>(lease.taps.size()));
        for (const auto &tap : lease.taps)
            tap_rows.push_back(&tap);
    }
    Dictionary columns{{key_taps, sdbus::Variant{tap_counts}}};
    add_columns(columns, lease_fields, lease_rows);
    add_columns(columns, tap_fields, tap_rows);
    return columns;
}

} // namespace qemutap
