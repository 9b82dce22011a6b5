// SPDX-License-Identifier: MIT
//
// Limits how often settings are put back, and how often that is reported.

#include "daemon/core/settings_keeper.hpp"

#include <algorithm>
#include <utility>

namespace qemutap {

namespace {

// A tap is put back at most ten times a second, and always once after the last change.
constexpr auto put_back_distance = std::chrono::milliseconds{100};
constexpr auto retry_distance = std::chrono::seconds{1};
constexpr auto report_distance = std::chrono::seconds{10};
// Callers wait until the turn ends, and the kernel takes a while to switch IPv6 off on a tap that has it on.
constexpr std::size_t most_in_a_turn = 64;

} // namespace

void SettingsKeeper::saw(const KeptTap &tap, const LinkSettings &settings)
{
    const auto unmendable = unmendable_.find(tap.ifindex);
    const bool same = unmendable != unmendable_.end() && unmendable->second == settings;
    if (unmendable != unmendable_.end() && !same)
        unmendable_.erase(unmendable);
    if (same || broken_settings(settings, tap.profile).empty()) {
        broken_.erase(tap.ifindex);
        return;
    }
    auto &broken = broken_[tap.ifindex];
    if (const auto earlier = not_before_.find(tap.ifindex); earlier != not_before_.end())
        broken.not_before = std::max(broken.not_before, earlier->second);
}

void SettingsKeeper::forget(int ifindex)
{
    broken_.erase(ifindex);
    not_before_.erase(ifindex);
    unmendable_.erase(ifindex);
}

std::vector<int> SettingsKeeper::due(Moment now) const
{
    std::vector<int> taps;
    for (const auto &[ifindex, broken] : broken_)
        if (broken.not_before <= now && taps.size() < most_in_a_turn)
            taps.push_back(ifindex);
    return taps;
}

void SettingsKeeper::put_back(const KeptTap &tap, const LinkSettings &found, const LinkSettings &left, bool quietly,
                              Moment now)
{
    broken_.erase(tap.ifindex);
    std::erase_if(not_before_, [&](const auto &entry) { return entry.second <= now; });
    not_before_[tap.ifindex] = now + put_back_distance;
    const auto still = broken_settings(left, tap.profile);
    const bool mendable =
        std::any_of(still.begin(), still.end(), [&](std::size_t row) { return !is_tolerable(row, left); });
    if (mendable)
        broken_[tap.ifindex].not_before = now + put_back_distance; // another program has changed it again
    else if (!still.empty())
        unmendable_[tap.ifindex] = left;
    const auto rows = broken_settings(found, tap.profile);
    if (quietly &&
        std::none_of(rows.begin(), rows.end(), [](std::size_t row) { return tap_settings.at(row).in_first_version; }))
        return;
    for (const auto row : rows) {
        if (std::find(still.begin(), still.end(), row) != still.end() && is_tolerable(row, left))
            continue;
        auto &pending = reports_.at(row).pending;
        if (pending)
            ++pending->more;
        else
            pending = PutBack{.row = row,
                              .device = tap.name,
                              .promised = promised_value(tap_settings.at(row), tap.profile),
                              .found = found.values.at(row).value_or(0)};
    }
}

void SettingsKeeper::failed(int ifindex, Moment now)
{
    broken_[ifindex] = {.not_before = now + retry_distance, .given_up = true};
}

std::optional<Moment> SettingsKeeper::next_deadline() const
{
    std::optional<Moment> next;
    const auto at = [&](Moment moment) { next = next ? std::min(*next, moment) : moment; };
    for (const auto &[ifindex, broken] : broken_)
        if (!broken.given_up)
            at(broken.not_before);
    for (const auto &reports : reports_)
        if (reports.pending)
            at(reports.last ? *reports.last + report_distance : Moment{});
    return next;
}

std::vector<PutBack> SettingsKeeper::take_reports(Moment now)
{
    std::vector<PutBack> taken;
    for (auto &reports : reports_) {
        if (!reports.pending || (reports.last && now < *reports.last + report_distance))
            continue;
        taken.push_back(*std::exchange(reports.pending, std::nullopt));
        reports.last = now;
    }
    return taken;
}

std::vector<std::size_t> HostWideWatch::news(const HostWideValues &values)
{
    std::vector<std::size_t> rows;
    for (std::size_t row = 0; row < host_wide_settings.size(); ++row) {
        const auto &value = values.at(row);
        if (!value)
            continue;
        const bool harmful = *value >= host_wide_settings.at(row).harmful_from;
        if (harmful && !reported_.at(row))
            rows.push_back(row);
        reported_.at(row) = harmful;
    }
    return rows;
}

} // namespace qemutap
