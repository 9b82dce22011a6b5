// SPDX-License-Identifier: MIT
//
// Deletes links by their group, in child processes. The kernel removes the links from the host in less than a
// millisecond, announces that (RTM_DELLINK) and releases its lock. Then it blocks only the requesting process until no
// process uses the links (netdev_run_todo(), net/core/dev.c). This takes 20 ms in most cases, and for ever if a holder
// of a descriptor wants that. The daemon waits neither for a child's answer nor for its end. If all children are busy,
// the next deletion starts another.

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
    // The errno of a deletion, 0 on success; nullopt: the kernel still blocks its process.
    struct Outcome {
        std::optional<int> result;
    };

    // Throws std::system_error.
    GroupDeletions();

    // Starts the children for future deletions, so that no deletion waits for a fork.
    void prepare();

    // Begins to delete these links of one owner. The group must contain these links and no others. Throws
    // std::system_error if it can't begin.
    std::shared_ptr<const Outcome> begin(std::uint32_t group, uid_t owner, std::vector<int> ifindexes);

    // Takes the answers that have arrived and collects the children that have ended.
    void take_answers();

    // Readable when take_answers() has something to take.
    int fd() const { return events_.get(); }

    // is_under_way() and undeleted() report the state of the last take_answers().
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

    UniqueFd events_; // epoll(7): the sockets of the lanes, and the pidfds of the retired children
    Lanes lanes_;
    std::list<DeletionLane> retired_;
};

} // namespace qemutap
