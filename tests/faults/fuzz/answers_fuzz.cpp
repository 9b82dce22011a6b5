// SPDX-License-Identifier: MIT
//
// The client reads the service's answers strictly: it refuses whatever is not as dbus/org.qemutap1.xml says, with one
// error, because an address of another type or a length out of range would get into the command lines of QEMU and of
// the kernel. This file decides a second time, from the interface's text, which answers are right, and compares.
//
// The bytes are lines, `key=TYPEvalue,value...`, with TYPE as D-Bus spells it; an empty line ends a dictionary. The
// same dictionaries are read as an answer of Acquire, where the text after TYPE is the value, and as one of List in
// columns, where a column is the array of the values.

#include "client/bus/answers.hpp"

#include "common/error.hpp"
#include "common/ipv4.hpp"
#include "common/mac_address.hpp"
#include "contract/hold.hpp"
#include "tests/faults/fuzz/require.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

// So LeaseList can be read from a variant, by the same code as from an answer, and without a bus.
template <>
struct sdbus::signature_of<qemutap::LeaseList> : sdbus::signature_of<std::vector<qemutap::Dictionary>> {};

using namespace qemutap;

namespace {

struct Entry {
    char type = '-';
    std::string text;
    std::vector<std::string> values;
};
using Entries = std::map<std::string, Entry>;

struct Field {
    const char *key;
    char type;
};
constexpr std::array<Field, 8> tap_fields{{{"name", 's'},
                                           {"index", 'u'},
                                           {"gateway", 's'},
                                           {"client", 's'},
                                           {"prefix-length", 'u'},
                                           {"mac", 's'},
                                           {"queues", 'u'},
                                           {"vhost", 'b'}}};
constexpr std::array<Field, 7> lease_fields{{{"lease", 's'},
                                             {"label", 's'},
                                             {"uid", 'u'},
                                             {"hold", 's'},
                                             {"idle-timeout", 't'},
                                             {"attended", 'b'},
                                             {"taps", 'u'}}};

std::uint64_t number_of(std::string_view text)
{
    std::uint64_t number = 0;
    for (const char c : text)
        number = number * 10 + static_cast<unsigned char>(c - '0');
    return number;
}

std::vector<Entries> dictionaries_in(std::string_view text)
{
    std::vector<Entries> all;
    bool begun = false;
    for (auto line : lines_of(text)) {
        if (line.empty()) {
            begun = false;
            continue;
        }
        if (!std::exchange(begun, true))
            all.emplace_back();
        const auto before_equals = cut(line, '=');
        // Text on the bus ends at a NUL.
        const std::string key{before_equals.substr(0, before_equals.find('\0'))};
        Entry entry;
        if (!line.empty())
            entry.type = line.front();
        line.remove_prefix(std::min<std::size_t>(line.size(), 1));
        entry.text = line.substr(0, line.find('\0'));
        for (std::string_view rest = entry.text; !rest.empty();)
            entry.values.emplace_back(cut(rest, ','));
        all.back()[key] = entry;
    }
    return all;
}

// Returns the entry as one value, or as an array of its values.
template <typename T, typename Read>
sdbus::Variant variant_as(const Entry &entry, bool column, Read read)
{
    if (!column)
        return sdbus::Variant{T{read(entry.text)}};
    std::vector<T> values;
    for (const auto &text : entry.values)
        values.push_back(T{read(text)});
    return sdbus::Variant{values};
}

// Throws sdbus::Error for a value that no message could carry.
sdbus::Variant variant_of(const Entry &entry, bool column)
{
    const auto as_text = [](const std::string &text) { return text; };
    switch (entry.type) {
    case 's':
        return variant_as<std::string>(entry, column, as_text);
    case 'o':
        return variant_as<sdbus::ObjectPath>(entry, column, as_text);
    case 'u':
        return variant_as<std::uint32_t>(entry, column,
                                         [](const auto &text) { return static_cast<std::uint32_t>(number_of(text)); });
    case 't':
        return variant_as<std::uint64_t>(entry, column, number_of);
    case 'i':
        return variant_as<std::int32_t>(entry, column,
                                        [](const auto &text) { return static_cast<std::int32_t>(number_of(text)); });
    case 'b':
        return variant_as<bool>(entry, column, [](const auto &text) { return number_of(text) % 2 == 1; });
    case 'v':
        return sdbus::Variant{std::vector<sdbus::Variant>{sdbus::Variant{entry.text}}};
    case 'a':
        return sdbus::Variant{std::vector<std::vector<std::string>>{entry.values}};
    default:
        return sdbus::Variant{std::map<std::string, sdbus::Variant>{{entry.text, sdbus::Variant{entry.text}}}};
    }
}

Dictionary dictionary_of(const Entries &entries, bool column)
{
    Dictionary dictionary;
    for (const auto &[key, entry] : entries)
        dictionary.emplace(key, variant_of(entry, column));
    return dictionary;
}

std::optional<Ipv4Address> address_of(const std::string &text)
{
    in_addr address{};
    if (text.empty())
        return Ipv4Address{};
    if (::inet_pton(AF_INET, text.c_str(), &address) != 1)
        return std::nullopt;
    return Ipv4Address{ntohl(address.s_addr)};
}

// Returns the tap with these texts as its fields, in the order of tap_fields.
std::optional<TapGrant> expected_tap(const std::vector<std::string> &texts)
{
    const auto u32 = [&](std::size_t field) { return static_cast<std::uint32_t>(number_of(texts[field])); };
    const auto gateway = address_of(texts[2]);
    const auto guest = address_of(texts[3]);
    const auto mac = MacAddress::parse(texts[5]);
    if (!gateway || !guest || !mac || u32(4) > 32 || u32(6) < 1 || u32(6) > 16)
        return std::nullopt;
    return TapGrant{.name = texts[0],
                    .index = u32(1),
                    .gateway = *gateway,
                    .guest = *guest,
                    .prefix_length = u32(4),
                    .mac = *mac,
                    .queues = u32(6),
                    .vhost = number_of(texts[7]) % 2 == 1};
}

// Returns nullopt if a field is missing or has another type.
template <std::size_t Size>
std::optional<std::vector<Entry>> entries_of(const Entries &entries, const std::array<Field, Size> &fields)
{
    std::vector<Entry> found;
    for (const auto &[key, type] : fields) {
        const auto entry = entries.find(key);
        if (entry == entries.end() || entry->second.type != type)
            return std::nullopt;
        found.push_back(entry->second);
    }
    return found;
}

std::optional<std::vector<TapGrant>> expected_taps(const std::vector<Entries> &dictionaries)
{
    std::vector<TapGrant> taps;
    for (const auto &dictionary : dictionaries) {
        const auto entries = entries_of(dictionary, tap_fields);
        if (!entries)
            return std::nullopt;
        std::vector<std::string> texts;
        for (const auto &entry : *entries)
            texts.push_back(entry.text);
        const auto tap = expected_tap(texts);
        if (!tap)
            return std::nullopt;
        taps.push_back(*tap);
    }
    return taps.empty() ? std::nullopt : std::optional{taps};
}

// Returns the row's text from each column.
std::vector<std::string> row_of(const std::vector<Entry> &columns, std::size_t row)
{
    std::vector<std::string> texts;
    for (const auto &column : columns)
        texts.push_back(column.values[row]);
    return texts;
}

bool have_rows(const std::vector<Entry> &columns, std::uint64_t rows)
{
    return std::all_of(columns.begin(), columns.end(),
                       [&](const Entry &column) { return column.values.size() == rows; });
}

// A missing column counts as one without rows, which is right if there are no leases.
template <std::size_t Size>
std::optional<std::vector<Entry>> columns_of(const Entries &dictionary, const std::array<Field, Size> &fields)
{
    auto whole = dictionary;
    for (const auto &[key, type] : fields)
        whole.try_emplace(key, Entry{.type = type, .text = {}, .values = {}});
    return entries_of(whole, fields);
}

std::optional<std::vector<LeaseGrant>> expected_leases(const std::vector<Entries> &dictionaries)
{
    if (dictionaries.size() != 1)
        return std::nullopt;
    const auto columns = columns_of(dictionaries.front(), lease_fields);
    const auto tap_columns = columns_of(dictionaries.front(), tap_fields);
    if (!columns || !tap_columns || !have_rows(*columns, columns->front().values.size()))
        return std::nullopt;
    std::uint64_t all_taps = 0;
    for (const auto &count : columns->back().values)
        all_taps += static_cast<std::uint32_t>(number_of(count));
    if (!have_rows(*tap_columns, all_taps))
        return std::nullopt;
    std::vector<LeaseGrant> leases;
    std::size_t next = 0;
    for (std::size_t row = 0; row < columns->front().values.size(); ++row) {
        const auto texts = row_of(*columns, row);
        const auto hold = parse_hold(texts[3]);
        const auto count = static_cast<std::uint32_t>(number_of(texts[6]));
        if (!hold || count == 0)
            return std::nullopt;
        LeaseGrant lease{texts[0],
                         texts[1],
                         static_cast<uid_t>(number_of(texts[2])),
                         *hold,
                         number_of(texts[4]),
                         number_of(texts[5]) % 2 == 1,
                         {}};
        for (std::uint32_t i = 0; i < count; ++i) {
            const auto tap = expected_tap(row_of(*tap_columns, next++));
            if (!tap)
                return std::nullopt;
            lease.taps.push_back(*tap);
        }
        leases.push_back(lease);
    }
    return leases;
}

// Returns nullopt if the answer is refused with the one error for it. Any other exception ends the program.
template <typename Call>
auto accepted_answer(Call call) -> std::optional<decltype(call())>
{
    try {
        return call();
    } catch (const TapError &error) {
        require(error.code() == ErrorCode::failed, "a wrong answer is refused as ErrorCode::failed");
        require(std::string_view{error.what()}.find('\n') == std::string_view::npos, "an error is one line");
        return std::nullopt;
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *bytes, std::size_t size)
{
    const auto dictionaries = dictionaries_in(text_of(bytes, size));
    std::vector<Dictionary> rows;
    sdbus::Variant list;
    try {
        std::vector<Dictionary> columns;
        for (const auto &entries : dictionaries) {
            rows.push_back(dictionary_of(entries, false));
            columns.push_back(dictionary_of(entries, true));
        }
        list = sdbus::Variant{columns};
    } catch (const sdbus::Error &) {
        return 0; // no message can carry these values
    }
    require(accepted_answer([&] { return read_taps(rows); }) == expected_taps(dictionaries),
            "taps are read as the interface says, or refused");
    require(accepted_answer([&] { return list.get<LeaseList>().leases; }) == expected_leases(dictionaries),
            "a list is read as the interface says, or refused");
    return 0;
}
