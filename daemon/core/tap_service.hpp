// SPDX-License-Identifier: MIT
//
// Gives leases, ends leases and describes them, from the plan, the table and the ports. It never waits between choosing
// an index and creating the device. Its single thread therefore guarantees that no two of its leases get the same index
// (I2). The exclusive creation of the device guarantees the same against all other programs.

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
    // `new_lease_id` returns 16 hex digits, different ones at each call; `clock` reads CLOCK_BOOTTIME.
    TapService(AddressPlan plan, Limits limits, TapCreator &creator, HostLinks &host, NameMarks &marks,
               std::function<std::string()> new_lease_id, std::function<Moment()> clock);

    const AddressPlan &plan() const { return plan_; }

    // Applies to the leases given from now on. Existing leases stay as they are.
    void reconfigure(AddressPlan plan, Limits limits);

    // Makes the marks fit the existing taps, whatever marks a predecessor left. Call it only if no other process gives
    // leases: it would remove that process's mark from a name that has no device yet.
    void restore_marks() { follower_.restore_marks(); }

    // Throws TapError limit_exceeded if `count` more taps are too many for this user.
    void check_own_limit(uid_t uid, unsigned count);

    // Gives a lease with all its taps or throws (I9). Before it throws, it deletes everything that it made, even if
    // another process has it open. Throws TapError for problems with the request, the limits, the pool and the devices,
    // and std::system_error if the kernel refused a step. `attendant` is the caller, and only an attended lease needs
    // it (tap_tag.hpp). Throws TapError failed if a tag can't hold this name.
    Acquired acquire(uid_t uid, const TapRequest &request, const std::string &attendant = {});

    // Describes the leases of one owner, or of all owners if `uid` is nullopt, in the order of their first taps'
    // indexes.
    std::vector<LeaseGrant> leases(std::optional<uid_t> uid);
    // The owner of a lease; nullopt: there is no such lease.
    std::optional<uid_t> owner_of(const std::string &lease);

    // True if the lease ends when this attendant leaves the bus.
    bool is_attended_by(const std::string &lease, const std::string &attendant) const;

    // Condemns the lease's taps: the next sweep() deletes them.
    void release(const std::string &lease);

    // True if there are attended leases. As long as it is true, the caller must watch which clients leave the bus, and
    // pass each to attendant_left(). After it began to watch, it must call attendants_are() once with all clients on
    // the bus. Both condemn the taps of the leases that are over: the next sweep() deletes them.
    bool has_attended() const { return follower_.table().has_attended(); }
    void attendant_left(const std::string &attendant);
    void attendants_are(const std::set<std::string> &present);

    // Deletes the taps of all leases that are released, over or incomplete. Call it once in a turn of the event loop.
    // Returns the taps of this service that were removed since the last call, whichever program deleted them.
    std::vector<EndedTap> sweep();

    // Puts back the settings of this service's taps that other programs changed (I10). Call it once in a turn of the
    // event loop. It queries all taps as often as the cost of the query allows.
    SettingsReport keep_settings() { return upkeep_.keep(); }

    // When sweep() or keep_settings() is due if no event comes before; nullopt: never.
    std::optional<Moment> next_deadline() const;

    // True as long as the process must stay. It must stay while there are taps: leases may end in ways that need a
    // sweep(), and settings must be kept. It must also stay while a deletion has not finished: a successor would not
    // know whose limit the deletion counts against.
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
