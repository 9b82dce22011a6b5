// SPDX-License-Identifier: MIT
//
// One try at a lease: finds indexes, makes and configures a tap for each, and takes all of it back unless it
// was handed over.

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

// Why a try is given up although nothing was refused.
enum class Setback {
    exhausted,      // no index is free, as far as is known
    reserved_taken, // the label's reserved index is not free, as far as is known
    intruder,       // somebody attached to a tap before it had an owner
    collision,      // somebody else took a subnet while its tap was made
};

// What all taps of a lease have in common.
struct Terms {
    std::string lease;
    uid_t uid = 0;
    TapRequest request;
    bool vhost = false;
    std::string attendant; // of an attended lease
    Moment now{};
};

class Attempt {
public:
    // All must outlive this; the table must not change meanwhile.
    Attempt(const AddressPlan &plan, const LeaseTable &table, const RecentIndexes &recent, TapCreator &creator,
            HostLinks &host, NameMarks &marks, Terms terms);
    Attempt(const Attempt &) = delete;
    Attempt &operator=(const Attempt &) = delete;
    // What was not handed over is deleted, also where others got hold of it.
    ~Attempt();

    // Makes the next tap: created, configured, up. Throws what the ports throw.
    std::optional<Setback> add_tap();

    // The address rule of the next tap.
    Profile next_rule() const
    {
        const auto first = terms_.request.profile;
        return taps_.empty() ? first : rule_of(first).further_taps;
    }

    // Looks at all taps in the kernel's words. Throws TapError host_refused if one is not as promised.
    std::optional<Setback> verify();

    // The taps' descriptors in their order for hold `fd`; for hold `name` none, and the taps are persistent.
    // Throws what the ports throw, and has then handed over nothing.
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
    PerRule<std::optional<IndexSearch>> searches_; // begun when the first tap needs one
    bool reservation_tried_ = false;
    std::vector<OpenTap> taps_;
    std::vector<PromisedTap> promised_; // one for each tap
    std::map<int, std::string> made_;   // by ifindex the names of all that was created and not handed over
};

} // namespace qemutap
