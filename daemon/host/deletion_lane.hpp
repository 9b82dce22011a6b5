// SPDX-License-Identifier: MIT
//
// A child process that deletes groups of links, one after the other. The kernel keeps the caller of a deletion for as
// long as any process uses one of the links: a write to a tap's descriptor from memory that never comes holds it for
// ever, and no signal ends the wait. A child that waits so harms no caller and keeps no bus name: it has a netlink
// socket and its end of a socket to the daemon, and nothing else.

#pragma once

#include "common/unique_fd.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace qemutap {

class DeletionLane {
public:
    // Starts the child. Throws std::system_error where there is no room for another process.
    DeletionLane();

    // Orders the deletion of all links of a group, without waiting. Throws std::system_error if the child is gone.
    void order(std::uint32_t group);

    // The errno of the ordered deletion, 0 if it is done; nullopt: the child has not answered. That no link was in the
    // group is no error. A child that ended without an answer counts as EIO.
    std::optional<int> take_answer();

    // Readable when an answer is here, or the child has ended.
    int fd() const { return socket_.get(); }

    // Lets the child end: an idle one at once, a busy one when the kernel lets it go.
    void dismiss() { socket_ = UniqueFd{}; }
    // Readable once the child has ended.
    int end_fd() const { return end_.get(); }
    // Collects the child if it has ended, without waiting; false: it has not.
    bool collect() const;

private:
    UniqueFd socket_;
    UniqueFd end_; // pidfd_open(2)
    pid_t child_ = 0;
};

} // namespace qemutap
