// SPDX-License-Identifier: MIT
//
// Keeps the settings of taps as promised (I10): looks at all taps as often as the time for it allows, puts back what
// other programs changed, and collects what there is to report. SettingsKeeper decides which tap's turn it is.

#pragma once

#include "daemon/core/host_follower.hpp"
#include "daemon/core/ports.hpp"
#include "daemon/core/settings_keeper.hpp"

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace qemutap {

// What there is to report of the settings of taps and of the host.
struct SettingsReport {
    std::vector<PutBack> put_back;
    std::vector<std::string> problems;
    std::vector<std::size_t> host_wide; // rows of host_wide_settings whose values do harm
};

class SettingsUpkeep {
public:
    // All must outlive this; `clock` reads CLOCK_BOOTTIME.
    SettingsUpkeep(HostFollower &follower, HostLinks &host, std::function<Moment()> clock);

    SettingsReport keep();

    // When keep() is due without any event; nullopt: never.
    std::optional<Moment> next_deadline() const;

private:
    bool look_at_all(); // false: not now
    void note_inherited();
    void put_back(int ifindex);

    HostFollower &follower_;
    HostLinks &host_;
    std::function<Moment()> clock_;
    HostWideWatch host_wide_watch_;
    bool look_owed_ = false;
    bool first_look_ = true;
    std::set<int> inherited_;      // taps of a predecessor that were not as promised at the first look
    Moment next_look_{};           // not before
    Moment next_problem_report_{}; // not before
};

} // namespace qemutap
