// SPDX-License-Identifier: MIT
//
// How leases end. A lease and its taps pass through these states in order:
//
//     state      meaning                                                  next state
//     changed    a lease that had an event, or whose idle timeout has     suspect, in the next round of a sweep
//                expired
//     suspect    a lease that the sweep examines                          doomed, or none when the sweep is done
//     doomed     a tap that must be deleted, by the kernel's              condemned if a query confirms it, else none
//                announcements
//     condemned  a tap that must be deleted; also each tap of a released  removed, when the caller deletes it
//                lease and of a lease whose attendant left the bus
//     removed    a tap that the kernel has deleted, for any reason        reported, at the end of the sweep
//
// The kernel announces a returning carrier up to a second late. The sweep therefore queries each doomed tap before it
// condemns the tap. If a sweep fails, all states stay as they are, and the next sweep continues with them.

#pragma once

#include "daemon/core/lease_table.hpp"

#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace qemutap {

struct EndedTap {
    std::string name;
    TapTag tag;
    unsigned queues = 0; // attached at the end; if more than the tag grants, the reason for the end
};

class Ending {
public:
    // `table` must outlive this.
    explicit Ending(const LeaseTable &table)
        : table_{table}
    {}

    void note_changed(const std::string &lease) { changed_.insert(lease); }
    void note_removed(EndedTap tap) { removed_.push_back(std::move(tap)); }
    // Drops the removed taps of a lease that was never given, so that report() does not return them.
    void forget_removed(const std::string &lease);

    void condemn(std::set<int> taps) { condemned_.merge(taps); }

    // Makes suspects of the changed leases and of the leases whose idle timeout has expired. Returns the doomed taps of
    // all suspects. The caller must query the kernel for each of them before it calls condemn_doomed().
    std::vector<int> doom(Moment now);
    // Condemns the taps that are still doomed. Returns all condemned taps that exist, by owner.
    std::map<uid_t, std::vector<int>> condemn_doomed(Moment now);

    // Ends the sweep: no lease stays suspect and no tap stays condemned. Returns the taps that were removed since the
    // last report.
    std::vector<EndedTap> report();

private:
    std::vector<int> doomed_taps(Moment now) const;

    const LeaseTable &table_;
    std::set<std::string> changed_;
    std::set<std::string> suspects_;
    std::set<int> condemned_;
    std::vector<EndedTap> removed_;
};

// True if all taps of the lease must be deleted, for one of three reasons. First: the service ends leases of this hold,
// and the lease is not whole, because its maker died before it finished or because another program deleted a tap.
// Second: the lease was idle for its timeout. Third: one of its taps has more queues than granted (I8).
bool is_over(const LeaseTable &table, const Lease &lease, Moment now);
// True if this tap must be deleted: a predecessor began to delete it, or its holder made it persistent and closed it
// (I6).
bool is_abandoned(const HeldTap &tap);

} // namespace qemutap
