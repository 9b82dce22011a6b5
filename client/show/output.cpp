// SPDX-License-Identifier: MIT
//
// Each format has one function.

#include "client/show/output.hpp"

#include "client/guest/kernel_cmdline.hpp"
#include "common/ipv4.hpp"
#include "contract/fields.hpp"
#include "contract/hold.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

namespace qemutap {

namespace {

constexpr int json_indent = 2;
const std::string none = "-"; // for tables: awk would skip an empty cell and shift the columns

constexpr std::array<std::pair<Format, std::string_view>, 6> formats{{
    {Format::text, "text"},
    {Format::json, "json"},
    {Format::qemu, "qemu"},
    {Format::cmdline, "cmdline"},
    {Format::env, "env"},
    {Format::yocto, "yocto"},
}};

using Row = std::vector<std::string>;

// Each column is as wide as its widest cell. Two spaces separate columns.
std::string table(const std::vector<Row> &rows)
{
    std::vector<std::size_t> widths(rows.front().size());
    for (const auto &row : rows)
        for (std::size_t column = 0; column < row.size(); ++column)
            widths[column] = std::max(widths[column], row[column].size());
    std::string text;
    for (const auto &row : rows) {
        for (std::size_t column = 0; column + 1 < row.size(); ++column)
            text += row[column] + std::string(widths[column] - row[column].size() + 2, ' ');
        text += row.back() + "\n";
    }
    return text;
}

bool has_addresses(const LeaseGrant &lease)
{
    return std::all_of(lease.taps.begin(), lease.taps.end(),
                       [](const TapGrant &tap) { return tap.prefix_length != 0; });
}

// The `ip=` words, or an empty text if a tap of the lease has no addresses.
std::string cmdline_of(const LeaseGrant &lease, const NicOptions &options)
{
    return has_addresses(lease) ? kernel_cmdline(lease, options.first_nic.value_or(0)) : "";
}

std::vector<std::string> args_of(const LeaseGrant &lease, const NicOptions &options)
{
    return !rule_of(lease.hold).gives_descriptors ? qemu_args(lease, options) : std::vector<std::string>{};
}

Row tap_row(const TapGrant &tap)
{
    return {tap.name, tap.prefix_length == 0 ? none : Ipv4Prefix{tap.gateway, tap.prefix_length}.text(),
            tap.prefix_length == 0 ? none : tap.guest.text(), tap.mac.text(), std::to_string(tap.queues)};
}

const Row tap_columns{"TAP", "GATEWAY", "CLIENT", "MAC", "QUEUES"};

std::string as_text(const LeaseGrant &lease, const NicOptions &options)
{
    std::vector<Row> rows{tap_columns};
    for (const auto &tap : lease.taps)
        rows.push_back(tap_row(tap));
    const auto name = lease.label.empty() ? lease.lease : lease.label;
    return "Lease " + lease.lease + (lease.label.empty() ? "" : ", label " + lease.label) + "\n\n" + table(rows) +
           "\nStart QEMU with\n  " + shell_line(args_of(lease, options)) +
           "\nand, for a guest that reads its addresses from the kernel command line, -append\n  '" +
           cmdline_of(lease, options) + "'\nEnd the lease with\n  qemu-tapctl down " + name + "\n";
}

// An empty object with memory reserved for the members of a lease or a tap.
nlohmann::ordered_json object_of()
{
    constexpr std::size_t most_members = 10;
    nlohmann::ordered_json::object_t object;
    object.reserve(most_members);
    return object;
}

std::string json_key(std::string key)
{
    std::ranges::replace(key, '-', '_');
    return key;
}

template <typename Fields, typename Grant>
void add_fields(nlohmann::ordered_json &object, const Fields &fields, const Grant &grant)
{
    for_each_field(fields, [&](const auto &field) {
        for_each_key(field, [&](const char *key) { object[json_key(key)] = field.get(grant); });
    });
}

nlohmann::ordered_json json_of(const LeaseGrant &lease, const NicOptions &options)
{
    auto object = object_of();
    add_fields(object, lease_fields, lease);
    auto &taps = object["taps"] = nlohmann::ordered_json::array();
    for (const auto &tap : lease.taps)
        add_fields(taps.emplace_back(object_of()), tap_fields, tap);
    object["qemu_args"] = args_of(lease, options);
    object["kernel_cmdline"] = cmdline_of(lease, options);
    return object;
}

// Quotes the value with double quotes and puts a backslash before each character that is special in them. sh(1) and
// EnvironmentFile= of systemd.exec(5) read this form alike.
std::string env_line(const std::string &name, const std::string &value)
{
    std::string escaped;
    for (const char c : value) {
        if (std::string_view{"\"\\$`"}.find(c) != std::string_view::npos)
            escaped += '\\';
        escaped += c;
    }
    return "QEMU_TAP_" + name + "=\"" + escaped + "\"\n";
}

// The variable's name for a field's key. Without <cctype>, because names must not depend on a locale.
std::string env_name(std::string_view key)
{
    std::string name;
    for (const char c : key)
        name += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return name;
}

template <typename Value>
std::string env_value(const Value &value)
{
    if constexpr (std::is_same_v<Value, std::string>)
        return value;
    else
        return std::to_string(value);
}

std::string as_env(const LeaseGrant &lease, const NicOptions &options)
{
    std::string text = env_line("LEASE", lease.lease) + env_line("LABEL", lease.label) +
                       env_line("COUNT", std::to_string(lease.taps.size()));
    for (std::size_t i = 0; i < lease.taps.size(); ++i)
        for_each_field(tap_fields, [&](const auto &field) {
            if (field.rule.in_environment)
                text += env_line(std::to_string(i) + "_" + env_name(field.key), env_value(field.get(lease.taps[i])));
        });
    return text + env_line("ARGS", shell_line(args_of(lease, options))) +
           env_line("CMDLINE", cmdline_of(lease, options));
}

// runqemu copies QB_NETWORK_DEVICE and QB_TAP_OPT to QEMU's command line and QB_CMDLINE_IP_TAP to the kernel's.
std::string as_yocto(const LeaseGrant &lease, const NicOptions &options)
{
    std::vector<std::string> devices;
    std::vector<std::string> netdevs;
    const auto words = args_of(lease, options);
    for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
        auto &side = words[i] == "-device" ? devices : netdevs;
        side.insert(side.end(), {words[i], words[i + 1]});
    }
    return "QB_NETWORK_DEVICE = \"" + shell_line(devices) + "\"\nQB_TAP_OPT = \"" + shell_line(netdevs) +
           "\"\nQB_CMDLINE_IP_TAP = \"" + cmdline_of(lease, options) + "\"\n";
}

} // namespace

std::string_view text_of(Format format)
{
    for (const auto &[known, text] : formats)
        if (known == format)
            return text;
    return {};
}

std::optional<Format> parse_format(std::string_view text)
{
    for (const auto &[format, known] : formats)
        if (known == text)
            return format;
    return std::nullopt;
}

std::string formatted(const LeaseGrant &lease, Format format, const NicOptions &options)
{
    switch (format) {
    case Format::text:
        break;
    case Format::json:
        return json_of(lease, options).dump(json_indent) + "\n";
    case Format::qemu:
        return shell_line(args_of(lease, options)) + "\n";
    case Format::cmdline:
        return cmdline_of(lease, options) + "\n";
    case Format::env:
        return as_env(lease, options);
    case Format::yocto:
        return as_yocto(lease, options);
    }
    return as_text(lease, options);
}

std::string list_as_text(const std::vector<LeaseGrant> &leases)
{
    Row columns{"LEASE", "LABEL", "UID", "HOLD"};
    columns.insert(columns.end(), tap_columns.begin(), tap_columns.end());
    std::vector<Row> rows{columns};
    for (const auto &lease : leases)
        for (const auto &tap : lease.taps) {
            Row row{lease.lease, lease.label.empty() ? none : lease.label, std::to_string(lease.uid),
                    std::string{text_of(lease.hold)}};
            const auto cells = tap_row(tap);
            row.insert(row.end(), cells.begin(), cells.end());
            rows.push_back(std::move(row));
        }
    return table(rows);
}

std::string list_as_json(const std::vector<LeaseGrant> &leases)
{
    std::string text;
    for (const auto &lease : leases)
        text += (text.empty() ? "[\n" : ",\n") + json_of(lease, {}).dump();
    return text.empty() ? "[]\n" : text + "\n]\n";
}

} // namespace qemutap
