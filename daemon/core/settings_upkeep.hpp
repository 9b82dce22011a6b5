// SPDX-License-Identifier: MIT
//
// Keeps the settings of taps as promised (I10). It queries all taps as often as the cost of the query allows, puts back
// what other programs changed, and collects the reports. SettingsKeeper decides which taps are put back in a turn.

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

// The reports about the settings of taps and of the host.
struct SettingsReport {
    std::vector<PutBack> put_back;
    std::vector<std::string> problems;
    std::vector<std::size_t> host_wide; // rows of host_wide_settings whose values do harm
};

class SettingsUpkeep {
public:
    // All references must outlive this object; `clock` reads CLOCK_BOOTTIME.
    SettingsUpkeep(HostFollower &follower, HostLinks &host, std::function<Moment()> clock);

    SettingsReport keep();

    // When keep() is due if no event comes before; nullopt: never.
    std::optional<Moment> next_deadline() const;

private:
    bool look_at_all(); // false: no tap exists, or the last query is too recent
    void note_inherited();
    void put_back(int ifindex);

    HostFollower &follower_;
    HostLinks &host_;
    std::function<Moment()> clock_;
    HostWideWatch host_wide_watch_;
    bool look_owed_ = false;
    bool first_look_ = true;
    std::set<int> inherited_;      // taps of a predecessor that are not put back yet
    Moment next_look_{};           // earliest time of the next query of all taps
    Moment next_problem_report_{}; // earliest time of the next report of a problem
};

} // namespace qemutap
