// SPDX-License-Identifier: MIT
//
// The table of settings, with the reader and the writer of each value.

#include "plan/settings.hpp"

#include "common/error.hpp"
#include "common/label.hpp"
#include "common/number.hpp"
#include "common/quote.hpp"

#include <pwd.h>

#include <algorithm>
#include <array>

namespace qemutap {

namespace {

constexpr unsigned words_of_reservation = 3;

[[noreturn]] void refuse(const std::string &text)
{
    throw TapError{ErrorCode::invalid_argument, text};
}

Ipv4Prefix require_prefix(std::string_view key, const std::string &text)
{
    const auto prefix = Ipv4Prefix::parse(text);
    if (!prefix)
        refuse(std::string{key} + " " + quote(text) + " is no IPv4 prefix such as 192.168.0.0/16");
    return *prefix;
}

unsigned require_number(std::string_view key, const std::string &text)
{
    const auto number = parse_number<unsigned>(text);
    if (!number)
        refuse(std::string{key} + " " + quote(text) + " is no whole number");
    return *number;
}

// Returns the uid of a user's name or of a number. A number is valid even if the host has no user with this uid.
uid_t require_user(const std::string &text)
{
    if (const auto uid = parse_number<uid_t>(text); uid && *uid != static_cast<uid_t>(-1))
        return *uid;
    const auto *entry = may_be_user_name(text) ? ::getpwnam(text.c_str()) : nullptr;
    if (!entry)
        refuse("there is no user " + quote(text));
    return entry->pw_uid;
}

Reservation require_reservation(const std::string &user, const std::string &label, const std::string &index)
{
    try {
        const auto number = require_number("index", index);
        if (!is_label(label))
            refuse(quote(label) + ": " + std::string{label_rule});
        return {.user = user, .uid = require_user(user), .label = label, .index = number};
    } catch (const TapError &error) {
        refuse("reserve " + quote(user + " " + label + " " + index) + ": " + error.what());
    }
}

template <typename Setting>
Words texts_of(const std::vector<Setting> &settings)
{
    Words texts;
    texts.reserve(settings.size());
    for (const auto &setting : settings)
        texts.push_back(setting.text());
    return texts;
}

void set_exclusions(const SettingRow &row, ServiceSettings &settings, const Words &words)
{
    settings.plan.exclusions.clear();
    for (const auto &word : words)
        settings.plan.exclusions.push_back(require_prefix(row.key, word));
}

void set_reservations(const SettingRow &row, ServiceSettings &settings, const Words &words)
{
    if (words.size() % row.words_per_value != 0)
        refuse(std::string{row.rule});
    settings.plan.reservations.clear();
    for (std::size_t i = 0; i < words.size(); i += row.words_per_value)
        settings.plan.reservations.push_back(require_reservation(words[i], words[i + 1], words[i + 2]));
}

// A row for a setting that is one number, the `member` of a `group` of settings.
template <auto group, auto member>
constexpr SettingRow number_row(std::string_view key, std::string_view help)
{
    return {.key = key,
            .help = help,
            .value_name = "NUMBER",
            .set = [](const SettingRow &row, ServiceSettings &settings,
                      const Words &words) { (settings.*group).*member = require_number(row.key, words.front()); },
            .values = [](const ServiceSettings &settings) { return Words{std::to_string((settings.*group).*member)}; }};
}

constexpr auto plan = &ServiceSettings::plan;
constexpr auto limits = &ServiceSettings::limits;

constexpr std::array rows{
    SettingRow{.key = "pool",
               .help = "The block that subnets are cut from",
               .set = [](const SettingRow &row, ServiceSettings &settings,
                         const Words &words) { settings.plan.pool = require_prefix(row.key, words.front()); },
               .values = [](const ServiceSettings &settings) { return Words{settings.plan.pool.text()}; }},
    number_row<plan, &PlanSettings::prefix_length>("prefix-length", "The length of a tap's subnet, 1 to 30"),
    number_row<plan, &PlanSettings::first_index>("first-index", "The lowest N of tapN and its subnet"),
    SettingRow{.key = "device-prefix",
               .help = "What stands before N in a device's name",
               .set = [](const SettingRow &, ServiceSettings &settings,
                         const Words &words) { settings.plan.device_prefix = words.front(); },
               .values = [](const ServiceSettings &settings) { return Words{settings.plan.device_prefix}; }},
    SettingRow{.key = "exclude",
               .help = "A prefix never to overlap; may be given several times",
               .many = true,
               .set = set_exclusions,
               .values = [](const ServiceSettings &settings) { return texts_of(settings.plan.exclusions); }},
    SettingRow{.key = "reserve",
               .help = "An index that one user's label alone gets; may be given several times",
               .value_name = "USER LABEL INDEX",
               .words_per_value = words_of_reservation,
               .many = true,
               .rule = "reserve is a user or uid, a label and an index, such as alice web 42",
               .set = set_reservations,
               .values = [](const ServiceSettings &settings) { return texts_of(settings.plan.reservations); }},
    number_row<limits, &Limits::max_taps_per_user>("max-taps-per-user", "How many taps one user may hold"),
    number_row<limits, &Limits::max_taps>("max-taps", "How many taps all users together may hold"),
};

std::string joined(const Words &texts)
{
    std::string all;
    for (const auto &text : texts)
        all += (all.empty() ? "" : ",") + text;
    return all.empty() ? "nothing" : all;
}

} // namespace

std::string Reservation::text() const
{
    return user + " " + label + " " + std::to_string(index);
}

std::span<const SettingRow> setting_rows()
{
    return rows;
}

const SettingRow *find_setting(std::string_view key)
{
    const auto *row = std::ranges::find(rows, key, &SettingRow::key);
    return row == rows.end() ? nullptr : row;
}

Words setting_differences(const ServiceSettings &before, const ServiceSettings &now)
{
    Words texts;
    for (const auto &row : rows) {
        const auto was = joined(row.values(before));
        const auto is = joined(row.values(now));
        if (was != is)
            texts.push_back(std::string{row.key}.append(" ").append(was).append(" is ").append(is).append(" now"));
    }
    return texts;
}

bool may_be_user_name(std::string_view text)
{
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f && c != ':'; });
}

} // namespace qemutap
