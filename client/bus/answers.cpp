// SPDX-License-Identifier: MIT
//
// Dictionaries of variants, and dictionaries of columns.

#include "client/bus/answers.hpp"

#include "common/bus_names.hpp"
#include "common/error.hpp"

#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

namespace qemutap {

namespace {

template <typename T>
T field(const Dictionary &dictionary, const char *key)
{
    const auto found = dictionary.find(key);
    if (found == dictionary.end() || !found->second.containsValueOfType<T>())
        refuse_answer(std::string{"no usable "} + key);
    return found->second.get<T>();
}

template <typename T>
T parsed(const char *key, std::string_view text, std::optional<T> (*parse)(std::string_view))
{
    const auto value = parse(text);
    if (!value)
        refuse_answer(std::string{"no usable "} + key);
    return *value;
}

// Empty where somebody took the address off the device.
Ipv4Address address(const char *key, const std::string &text)
{
    return text.empty() ? Ipv4Address{} : parsed(key, text, Ipv4Address::parse);
}

// A number that goes on into masks and command lines.
unsigned within(const char *key, std::uint32_t number, unsigned least, unsigned most)
{
    if (number < least || number > most)
        refuse_answer(std::string{"no usable "} + key);
    return number;
}

unsigned length(std::uint32_t number)
{
    return within(key_prefix_length, number, 0, 32);
}

unsigned queue_count(std::uint32_t number)
{
    return within(key_queues, number, 1, max_queues);
}

TapGrant read_tap(const Dictionary &dictionary)
{
    return {field<std::string>(dictionary, key_name),
            field<std::uint32_t>(dictionary, key_index),
            address(key_gateway, field<std::string>(dictionary, key_gateway)),
            address(key_client, field<std::string>(dictionary, key_client)),
            length(field<std::uint32_t>(dictionary, key_prefix_length)),
            parsed(key_mac, field<std::string>(dictionary, key_mac), MacAddress::parse),
            queue_count(field<std::uint32_t>(dictionary, key_queues)),
            field<bool>(dictionary, key_vhost)};
}

template <typename T>
constexpr const char *column_type = nullptr;
template <>
constexpr const char *column_type<std::string> = "as";
template <>
constexpr const char *column_type<std::uint32_t> = "au";
template <>
constexpr const char *column_type<std::uint64_t> = "at";
template <>
constexpr const char *column_type<bool> = "ab";

template <typename T>
struct Column {
    const char *key;
    std::vector<T> values{};

    void read(sdbus::Message &message)
    {
        try {
            message.enterVariant(column_type<T>);
        } catch (const sdbus::Error &) {
            refuse_answer(std::string{"no usable "} + key);
        }
        message >> values;
        message.exitVariant();
    }

    void require(std::size_t rows) const
    {
        if (values.size() != rows)
            refuse_answer(std::to_string(values.size()) + " of " + key + " for " + std::to_string(rows));
    }
};

// As in wire.cpp of the daemon.
struct Columns {
    Column<std::string> lease{key_lease};
    Column<std::string> label{key_label};
    Column<std::uint32_t> uid{key_uid};
    Column<std::string> hold{key_hold};
    Column<std::uint64_t> idle_timeout{key_idle_timeout};
    Column<bool> attended{key_attended};
    Column<std::uint32_t> taps{key_taps};
    Column<std::string> name{key_name};
    Column<std::uint32_t> index{key_index};
    Column<std::string> gateway{key_gateway};
    Column<std::string> client{key_client};
    Column<std::uint32_t> prefix_length{key_prefix_length};
    Column<std::string> mac{key_mac};
    Column<std::uint32_t> queues{key_queues};
    Column<bool> vhost{key_vhost};

    template <typename Use>
    void each_of_lease(Use use)
    {
        use(lease), use(label), use(uid), use(hold), use(idle_timeout), use(attended), use(taps);
    }

    template <typename Use>
    void each_of_tap(Use use)
    {
        use(name), use(index), use(gateway), use(client), use(prefix_length), use(mac), use(queues), use(vhost);
    }

    void read(sdbus::Message &message, const std::string &key)
    {
        bool known = false;
        const auto read_if = [&](auto &column) {
            if (key == column.key) {
                column.read(message);
                known = true;
            }
        };
        each_of_lease(read_if);
        each_of_tap(read_if);
        if (!known) {
            sdbus::Variant of_a_later_version;
            message >> of_a_later_version;
        }
    }

    TapGrant tap(std::size_t row) const
    {
        return {name.values[row],
                index.values[row],
                address(key_gateway, gateway.values[row]),
                address(key_client, client.values[row]),
                length(prefix_length.values[row]),
                parsed(key_mac, mac.values[row], MacAddress::parse),
                queue_count(queues.values[row]),
                vhost.values[row]};
    }

    std::vector<LeaseGrant> leases()
    {
        each_of_lease([rows = lease.values.size()](const auto &column) { column.require(rows); });
        const auto all_taps = std::accumulate(taps.values.begin(), taps.values.end(), std::uint64_t{0});
        each_of_tap([all_taps](const auto &column) { column.require(all_taps); });
        std::vector<LeaseGrant> leases;
        leases.reserve(lease.values.size());
        std::size_t next = 0;
        for (std::size_t row = 0; row < lease.values.size(); ++row) {
            LeaseGrant grant{std::move(lease.values[row]),
                             std::move(label.values[row]),
                             uid.values[row],
                             parsed(key_hold, hold.values[row], parse_hold),
                             idle_timeout.values[row],
                             attended.values[row],
                             {}};
            if (taps.values[row] == 0)
                refuse_answer("a lease without taps");
            for (const auto end = next + taps.values[row]; next < end; ++next)
                grant.taps.push_back(tap(next));
            leases.push_back(std::move(grant));
        }
        return leases;
    }
};

} // namespace

void refuse_answer(const std::string &what)
{
    throw TapError{ErrorCode::failed, "qemu-tapd answered with " + what + "; is it of another version?"};
}

std::vector<TapGrant> read_taps(const std::vector<Dictionary> &dictionaries)
{
    std::vector<TapGrant> taps;
    taps.reserve(dictionaries.size());
    for (const auto &dictionary : dictionaries)
        taps.push_back(read_tap(dictionary));
    if (taps.empty())
        refuse_answer("a lease without taps");
    return taps;
}

sdbus::Message &operator>>(sdbus::Message &message, LeaseList &list)
{
    Columns columns;
    message.enterContainer("a{sv}");
    if (!message.enterContainer("{sv}"))
        refuse_answer("nothing");
    while (message.enterDictEntry("sv")) {
        std::string key;
        message >> key;
        columns.read(message, key);
        message.exitDictEntry();
    }
    message.clearFlags();
    message.exitContainer();
    try {
        message.exitContainer();
    } catch (const sdbus::Error &) {
        refuse_answer("more than one dictionary of columns");
    }
    list.leases = columns.leases();
    return message;
}

} // namespace qemutap
