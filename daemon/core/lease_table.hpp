// SPDX-License-Identifier: MIT
//
// The leases, read off the tags of the links. The table is derived: it is told of each link that changed, and a
// fresh table, told of all links, would know the same leases. Only how long a lease has been idle it would count
// from its own beginning.

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

// A reading of CLOCK_BOOTTIME, which goes on during suspend: a laptop's leases end when they are due.
using Moment = std::chrono::nanoseconds;

// Of live taps of ours: a static firewall table can match `iifgroup` with it.
inline constexpr std::uint32_t live_group = 0x71746170;

struct HeldTap {
    std::string name;
    TapTag tag;
    bool carrier = false;
    bool persistent = false;
    bool up = false;
    std::uint32_t group = 0;
    unsigned queues = 0; // attached, also those that are disabled; 0: the kernel does not count them
};

// The tag of a link that is ours (I3): a tap, tagged, and the tag was written to this very link.
std::optional<TapTag> own_tag(const Link &link);

struct Lease {
    std::map<unsigned, int> taps;   // ifindex by position
    std::optional<Moment> deadline; // when it ends if it stays idle; nullopt: it is in use, or has no timeout
};

class LeaseTable {
public:
    // `link` is nullptr when the link is gone.
    void update(int ifindex, const Link *link, Moment now);

    const Lease *find(const std::string &id) const;
    // Of a link that a lease of the table has.
    const HeldTap &tap(int ifindex) const { return taps_.at(ifindex); }
    // nullptr: the link is no tap of ours.
    const HeldTap *find_tap(int ifindex) const;
    const std::unordered_map<std::string, Lease> &leases() const { return leases_; }
    // The tag that all taps of a lease share but for position, index, ifindex and mac: that of its first tap.
    const TapTag &tag(const Lease &lease) const { return tap(lease.taps.begin()->second).tag; }

    bool index_leased(Profile profile, unsigned index) const
    {
        const auto &taps = indexes_[profile];
        return index < taps.size() && taps[index] != 0;
    }
    std::size_t tap_count() const { return taps_.size(); }
    std::size_t tap_count(uid_t uid) const;

    bool has_attended() const { return !attended_.empty(); }
    // The taps of the leases that end with this attendant.
    std::set<int> attended_by(const std::string &attendant) const;
    // The taps of attended leases whose attendant is none of these.
    std::set<int> deserted(const std::set<std::string> &present) const;

    // The leases whose idle timeout is over.
    std::set<std::string> idle_since_deadline(Moment now) const;
    // When the next idle timeout is over without any link changing; nullopt: never.
    std::optional<Moment> next_deadline() const;

private:
    // How many taps have each index, up to the highest that any had. A search asks for thousands in a row, which a
    // vector answers out of a few cache lines; a tag's index has 16 bits.
    using Indexes = std::vector<unsigned>;

    void place(int ifindex, HeldTap tap, Moment now);
    void forget(int ifindex, Moment now);
    void join(int ifindex, const TapTag &tag);
    void note_idleness(const std::string &id, Lease &lease, Moment now);
    void set_deadline(const std::string &id, Lease &lease, std::optional<Moment> deadline);

    std::unordered_map<int, HeldTap> taps_;
    std::map<int, HeldTap> turned_away_; // their tags claim places that other taps have
    std::unordered_map<std::string, Lease> leases_;
    PerRule<Indexes> indexes_;
    std::unordered_map<uid_t, std::size_t> taps_of_;
    std::map<std::string, std::set<int>> attended_; // taps by attendant
    std::set<std::pair<Moment, std::string>> deadlines_;
};

} // namespace qemutap
