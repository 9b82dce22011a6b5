// SPDX-License-Identifier: MIT
//
// One attempt to give a lease. An Attempt finds free indexes, then creates and configures a tap for each. Its
// destructor deletes everything that was not handed over.

#pragma once

#include "common/unique_fd.hpp"
#include "contract/profile.hpp"
#include "contract/request.hpp"
#include "daemon/core/index_search.hpp"
#include "daemon/core/lease_table.hpp"
#include "daemon/core/ports.hpp"
#include "daemon/core/recent_indexes.hpp"
#include "daemon/core/verify.hpp"
#include "plan/address_plan.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace qemutap {

// Why an attempt is given up although the kernel refused nothing.
enum class Setback {
    exhausted,      // no index is free in the known state of the host
    reserved_taken, // the label's reserved index is not free in the known state of the host
    intruder,       // another process attached to a tap before the tap had its owner
    collision,      // another program took a subnet while the attempt made its tap
};

// The values that all taps of a lease share.
struct Terms {
    std::string lease;
    uid_t uid = 0;
    TapRequest request;
    bool vhost = false;
    std::string attendant; // empty: the lease is not attended
    Moment now{};
};

class Attempt {
public:
    // All references must outlive this object. The table must not change while taps are added.
    Attempt(const AddressPlan &plan, const LeaseTable &table, const RecentIndexes &recent, TapCreator &creator,
            HostLinks &host, NameMarks &marks, Terms terms);
    Attempt(const Attempt &) = delete;
    Attempt &operator=(const Attempt &) = delete;
    // Deletes every tap that was not handed over, even if another process has it open.
    ~Attempt();

    // Creates the next tap, configures it and brings it up. Returns the reason if the attempt must be given up, else
    // nullopt. Throws what the ports throw.
    std::optional<Setback> add_tap();

    // The address rule of the next tap.
    Profile next_rule() const
    {
        const auto first = terms_.request.profile;
        return taps_.empty() ? first : rule_of(first).further_taps;
    }

    // Compares every tap with what the kernel reports. Returns the reason if the attempt must be given up, else
    // nullopt. Throws TapError host_refused if a tap differs from its promise.
    std::optional<Setback> verify();

    // Hands the taps over. With hold `fd` it returns the taps' descriptors in the order of the taps. With hold `name`
    // it makes the taps persistent and returns no descriptors. If it throws what the ports throw, nothing is handed
    // over.
    std::vector<UniqueFd> hand_over();

private:
    struct Candidate {
        unsigned index;
        PlannedTap plan;
    };

    const Reservation *reservation() const;
    std::optional<unsigned> next_index();
    std::optional<Candidate> next_free();
    bool is_free(const PlannedTap &plan) const;
    std::optional<OpenTap> create_next();
    std::optional<OpenTap> create(const std::string &name);
    void persist();
    void take_back();
    void unmark_gone(const HostState &state);

    const AddressPlan &plan_;
    const LeaseTable &table_;
    const RecentIndexes &recent_;
    TapCreator &creator_;
    HostLinks &host_;
    NameMarks &marks_;
    const Terms terms_;
    PerRule<std::optional<IndexSearch>> searches_; // each begins when a tap first needs it
    bool reservation_tried_ = false;
    std::vector<OpenTap> taps_;
    std::vector<PromisedTap> promised_; // one for each tap
    std::map<int, std::string> made_;   // names by ifindex of the taps created and not handed over
};

} // namespace qemutap
