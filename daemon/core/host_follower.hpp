// SPDX-License-Identifier: MIT
//
// Keeps the daemon's knowledge of its taps equal to the host: the lease table, the endings, the settings to put back,
// and the marks on names. Each method queries the kernel and applies all changes that arrived with the answer.

#pragma once

#include "daemon/core/ending.hpp"
#include "daemon/core/lease_table.hpp"
#include "daemon/core/ports.hpp"
#include "daemon/core/recent_indexes.hpp"
#include "daemon/core/settings_keeper.hpp"

#include <functional>
#include <string>

namespace qemutap {

class HostFollower {
public:
    // `host` and `marks` must outlive this; `clock` reads CLOCK_BOOTTIME.
    HostFollower(HostLinks &host, NameMarks &marks, std::function<Moment()> clock);
    HostFollower(const HostFollower &) = delete;
    HostFollower &operator=(const HostFollower &) = delete;

    // Each of these calls the method of HostLinks with the same name and applies all changes.
    void take_in_events() { follow(host_.take_in_events()); }
    void ask_for_link(int ifindex) { follow(host_.ask_for_link(ifindex)); }
    void ask_for_down_taps() { follow(host_.ask_for_down_taps()); }
    void ask_for_all_taps() { follow(host_.ask_for_all_taps()); }
    void dump_again() { follow(host_.dump_again()); }
    // Applies the changes that HostLinks already knows, without a query. Call it after a change made through HostLinks.
    void take_in_known() { follow(host_.known_state()); }

    const HostState &state() const { return host_.known_state(); }
    const LeaseTable &table() const { return table_; }
    const RecentIndexes &recent() const { return recent_; }
    Ending &ending() { return ending_; }
    SettingsKeeper &keeper() { return keeper_; }
    const SettingsKeeper &keeper() const { return keeper_; }

    // Names the lease that is attempted and not given yet; empty: none. The end of its taps is not recorded in
    // recent(): for their indexes, the last end of another user's tap must keep counting.
    void set_attempted_lease(std::string lease) { attempted_lease_ = std::move(lease); }

    // Marks the names of all taps of the table, and removes this service's marks on all other names.
    void restore_marks();

private:
    void follow(const HostState &state);
    void follow_link(const HostState &state, int ifindex, std::vector<EndedTap> &left);
    void unmark_free(const std::vector<EndedTap> &left);
    bool has_name(const std::string &name) const;

    HostLinks &host_;
    NameMarks &marks_;
    std::function<Moment()> clock_;
    LeaseTable table_;
    Ending ending_{table_};
    RecentIndexes recent_;
    SettingsKeeper keeper_;
    std::string attempted_lease_;
};

} // namespace qemutap
