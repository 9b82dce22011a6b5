// SPDX-License-Identifier: MIT
//
// How leases end. A lease and its taps pass these states in their order:
//
//     state      it is                                                    it goes on
//     changed    a lease that something happened to, or whose idle        with the next round of a sweep: suspect
//                timeout is over
//     suspect    a lease that the sweep looks at                          doomed, or forgotten when the sweep is done
//     doomed     a tap that must go by what the kernel announced          asked for again: condemned, or it stays
//     condemned  a tap that must go: also those of a released lease       the caller deletes it: removed
//                and of a lease whose attendant left the bus
//     removed    a tap that the kernel has deleted, for any reason        with the end of the sweep: reported
//
// The kernel announces a carrier that came back up to a second late, which is why a doomed tap is asked for again.
// A sweep that fails leaves all states as they are, and the next one begins with them.

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
    unsigned queues = 0; // attached at the end; more than the tag's: the reason
};

class Ending {
public:
    // `table` must outlive this.
    explicit Ending(const LeaseTable &table)
        : table_{table}
    {}

    void note_changed(const std::string &lease) { changed_.insert(lease); }
    void note_removed(EndedTap tap) { removed_.push_back(std::move(tap)); }
    // A lease that was never given does not end: its removed taps are not reported.
    void forget_removed(const std::string &lease);

    void condemn(std::set<int> taps) { condemned_.merge(taps); }

    // The changed leases, and those whose idle timeout is over, become suspects. Returns their doomed taps, which the
    // caller asks the kernel for again.
    std::vector<int> doom(Moment now);
    // What is doomed still is condemned. Returns all condemned taps that exist, by owner.
    std::map<uid_t, std::vector<int>> condemn_doomed(Moment now);

    // The sweep is done: nothing is suspect or condemned any more. Returns what was removed since the last report.
    std::vector<EndedTap> report();

private:
    std::vector<int> doomed_taps(Moment now) const;

    const LeaseTable &table_;
    std::set<std::string> changed_;
    std::set<std::string> suspects_;
    std::set<int> condemned_;
    std::vector<EndedTap> removed_;
};

// The rules. True if all taps of the lease must go: it is ended by the service and not whole (its maker died on the
// way, or another program deleted a tap), it was idle for its timeout, or one of its taps has more queues than granted
// (I8).
bool is_over(const LeaseTable &table, const Lease &lease, Moment now);
// True if this tap must go: a deletion that a predecessor began, or a tap that its holder made persistent and left
// (I6).
bool is_abandoned(const HeldTap &tap);

} // namespace qemutap
