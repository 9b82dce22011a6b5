// SPDX-License-Identifier: MIT
//
// The one place that puts the plan, the table and the ports together: gives a lease, ends leases, tells
// what there is. It never waits between choosing an index and creating its device, so that one thread is the
// proof that no two leases get the same one (I2); against the rest of the world the exclusive create is.

#pragma once

#include "common/unique_fd.hpp"
#include "contract/descriptors.hpp"
#include "contract/grant.hpp"
#include "contract/profile.hpp"
#include "contract/request.hpp"
#include "daemon/core/attempt.hpp"
#include "daemon/core/ending.hpp"
#include "daemon/core/host_follower.hpp"
#include "daemon/core/ports.hpp"
#include "daemon/core/settings_upkeep.hpp"
#include "plan/address_plan.hpp"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace qemutap {

class TapService {
public:
    // `new_lease_id` gives 16 hex digits, other ones at each call; `clock` reads CLOCK_BOOTTIME.
    TapService(AddressPlan plan, Limits limits, TapCreator &creator, HostLinks &host, NameMarks &marks,
               std::function<std::string()> new_lease_id, std::function<Moment()> clock);

    const AddressPlan &plan() const { return plan_; }

    // For leases given from now on; the others stay as they are.
    void reconfigure(AddressPlan plan, Limits limits);

    // The marks of what there is, whatever a predecessor left of them. Only for who is alone in giving leases: another
    // one's mark on a name that has no device yet would go.
    void restore_marks() { follower_.restore_marks(); }

    // Throws TapError limit_exceeded if `count` taps more are too many for this user.
    void check_own_limit(uid_t uid, unsigned count);

    // All taps or none (I9): if it throws, what was made is deleted, whoever got hold of it. Throws TapError of
    // what is named in the request, the limits, the pool and the devices; std::system_error if the kernel refused
    // a step. `attendant` is the caller, and needed for an attended lease only (tap_tag.hpp); TapError failed if it
    // can't be written down.
    Acquired acquire(uid_t uid, const TapRequest &request, const std::string &attendant = {});

    // Of one owner, or of all; by their first taps' indexes.
    std::vector<LeaseGrant> leases(std::optional<uid_t> uid);
    // nullopt: there is no such lease.
    std::optional<uid_t> owner_of(const std::string &lease);

    // Whether this attendant's leaving would end the lease.
    bool is_attended_by(const std::string &lease, const std::string &attendant) const;

    // Marks the lease's taps for the next sweep().
    void release(const std::string &lease);

    // Whether there are attended leases. Then who left must be told, and once, after such telling began, who is there.
    // Each marks what is over for the next sweep().
    bool has_attended() const { return follower_.table().has_attended(); }
    void attendant_left(const std::string &attendant);
    void attendants_are(const std::set<std::string> &present);

    // Deletes in one go what was released, is over or incomplete; call it once a turn of the event loop.
    // Returns the taps of ours that went since the last call, whoever deleted them.
    std::vector<EndedTap> sweep();

    // Puts back what other programs changed of our taps' settings (I10); call it once a turn of the event loop. All
    // taps are looked at as often as the time that this takes allows.
    SettingsReport keep_settings() { return upkeep_.keep(); }

    // When sweep() or keep_settings() is due without any event; nullopt: never.
    std::optional<Moment> next_deadline() const;

    // Whether the taps that there are need the service: leases may end in ways that ask for a sweep(), and settings are
    // kept. The same for a deletion that has not ended: a successor would not know whom it counts against.
    bool needs_watching() const;

private:
    struct Outcome;
    void check_common_limit(unsigned count) const;
    std::vector<UniqueFd> open_vhost(const TapRequest &request);
    Outcome try_acquire(const Terms &terms);
    void forget_attempt(const std::string &lease);
    bool remove_condemned();
    void remove_each(const std::map<uid_t, std::vector<int>> &by_owner);
    [[noreturn]] void refuse(Setback setback, Profile rule, uid_t uid, const TapRequest &request) const;

    AddressPlan plan_;
    Limits limits_;
    TapCreator &creator_;
    HostLinks &host_;
    NameMarks &marks_;
    std::function<std::string()> new_lease_id_;
    std::function<Moment()> clock_;
    HostFollower follower_;
    SettingsUpkeep upkeep_;
};

} // namespace qemutap
