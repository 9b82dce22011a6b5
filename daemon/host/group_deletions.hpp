// SPDX-License-Identifier: MIT
//
// Deletes links by their group, in child processes. The kernel takes links out of the host in less than a millisecond,
// says so (RTM_DELLINK) and frees its lock; it keeps the caller alone until no process uses them any more
// (netdev_run_todo(), net/core/dev.c): 20 ms mostly, and for ever if a holder of a descriptor wants that. The daemon
// neither waits for a child nor for its end. A busy child is never waited for either: the next deletion gets another.

#pragma once

#include "common/unique_fd.hpp"
#include "daemon/core/ports.hpp"
#include "daemon/host/deletion_lane.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <vector>

namespace qemutap {

class GroupDeletions {
public:
    // The errno with which a deletion ended, 0 if it is done; nullopt: the kernel has not let its process go.
    struct Outcome {
        std::optional<int> result;
    };

    // Throws std::system_error.
    GroupDeletions();

    // Starts the children that are kept for deletions to come, so that no deletion waits for a fork.
    void prepare();

    // Begins the deletion of these links of one owner, which are all that is in the group. Throws std::system_error if
    // it can't begin.
    std::shared_ptr<const Outcome> begin(std::uint32_t group, uid_t owner, std::vector<int> ifindexes);

    // Takes the answers that are here and collects the children that have ended.
    void take_answers();

    // Readable when there is something for take_answers().
    int fd() const { return events_.get(); }

    // As of the last take_answers().
    bool is_under_way(int ifindex) const;
    std::vector<Undeleted> undeleted() const;

private:
    struct Deletion {
        uid_t owner = 0;
        std::vector<int> ifindexes;
        std::chrono::steady_clock::time_point begun;
        std::shared_ptr<Outcome> outcome;
    };
    struct Lane {
        DeletionLane child;
        std::optional<Deletion> deletion; // nullopt: it is idle
    };
    using Lanes = std::list<Lane>;

    void watch(int fd) const;
    void add_lane();
    Lanes::iterator idle_lane();
    void retire(Lanes::iterator lane);
    std::size_t idle_count() const;

    UniqueFd events_; // epoll(7): the lanes' sockets, and the ends of the retired
    Lanes lanes_;
    std::list<DeletionLane> retired_;
};

} // namespace qemutap
