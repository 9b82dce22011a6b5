// SPDX-License-Identifier: MIT
//
// The leases, as read from the tags of the links. The table is derived: the caller passes each changed link to it, and
// a new table that received all links would contain the same leases. Only the idle times of leases would start again.

#pragma once

#include "contract/profile.hpp"
#include "daemon/core/host_state.hpp"
#include "daemon/core/tap_tag.hpp"
#include "plan/address_rules.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace qemutap {

// A reading of CLOCK_BOOTTIME. This clock runs during suspend, so a laptop's leases end when they are due.
using Moment = std::chrono::nanoseconds;

// The link group of this service's live taps. A static firewall table can match it with `iifgroup`.
inline constexpr std::uint32_t live_group = 0x71746170;

struct HeldTap {
    std::string name;
    TapTag tag;
    bool carrier = false;
    bool persistent = false;
    bool up = false;
    std::uint32_t group = 0;
    unsigned queues = 0; // attached queues, including disabled ones; 0: the kernel does not count them
};

// The tag of a link that belongs to this service (I3): the link is a tap, it has a tag, and the tag was written to this
// very link. Else nullopt.
std::optional<TapTag> own_tag(const Link &link);

struct Lease {
    std::map<unsigned, int> taps;   // ifindex by position
    std::optional<Moment> deadline; // when the lease ends if it stays idle; nullopt: it is in use, or has no timeout
};

class LeaseTable {
public:
    // Takes in a link that changed. `link` is nullptr if the link no longer exists.
    void update(int ifindex, const Link *link, Moment now);

    const Lease *find(const std::string &id) const;
    // The tap with this ifindex. A lease of the table must have it.
    const HeldTap &tap(int ifindex) const { return taps_.at(ifindex); }
    // The tap with this ifindex; nullptr: no lease of the table has it.
    const HeldTap *find_tap(int ifindex) const;
    const std::unordered_map<std::string, Lease> &leases() const { return leases_; }
    // The tag of the lease's first tap. All taps of a lease share its fields, except position, profile, index, ifindex
    // and mac.
    const TapTag &tag(const Lease &lease) const { return tap(lease.taps.begin()->second).tag; }

    bool index_leased(Profile profile, unsigned index) const
    {
        const auto &taps = indexes_[profile];
        return index < taps.size() && taps[index] != 0;
    }
    std::size_t tap_count() const { return taps_.size(); }
    std::size_t tap_count(uid_t uid) const;

    bool has_attended() const { return !attended_.empty(); }
    // The taps of the leases that end when this attendant leaves the bus.
    std::set<int> attended_by(const std::string &attendant) const;
    // The taps of the attended leases whose attendant is not in `present`.
    std::set<int> deserted(const std::set<std::string> &present) const;

    // The leases whose idle timeout has expired.
    std::set<std::string> idle_since_deadline(Moment now) const;
    // When the next idle timeout expires if no link changes before; nullopt: never.
    std::optional<Moment> next_deadline() const;

private:
    // The number of taps with each index, up to the highest index that a tap has had. A search reads thousands of
    // entries in a row, and a vector keeps them in a few cache lines. An index in a tag has 16 bits, which limits the
    // size.
    using Indexes = std::vector<unsigned>;

    void place(int ifindex, HeldTap tap, Moment now);
    void forget(int ifindex, Moment now);
    void join(int ifindex, const TapTag &tag);
    void note_idleness(const std::string &id, Lease &lease, Moment now);
    void set_deadline(const std::string &id, Lease &lease, std::optional<Moment> deadline);

    std::unordered_map<int, HeldTap> taps_;
    std::map<int, HeldTap> turned_away_; // taps whose tags claim positions that other taps have
    std::unordered_map<std::string, Lease> leases_;
    PerRule<Indexes> indexes_;
    std::unordered_map<uid_t, std::size_t> taps_of_;
    std::map<std::string, std::set<int>> attended_; // taps by attendant
    std::set<std::pair<Moment, std::string>> deadlines_;
};

} // namespace qemutap
