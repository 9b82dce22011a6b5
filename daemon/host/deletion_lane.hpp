// SPDX-License-Identifier: MIT
//
// A child process that deletes groups of links, one after the other. The kernel blocks the process that requests a
// deletion as long as any process uses one of the links. A write to a tap's descriptor from memory that never arrives
// blocks it for ever, and no signal ends this wait. A blocked child delays no caller and holds no bus name: it has only
// a netlink socket and its end of a socket to the daemon.

#pragma once

#include "common/unique_fd.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace qemutap {

class DeletionLane {
public:
    // Starts the child. Throws std::system_error if it can't start a process.
    DeletionLane();

    // Orders the deletion of all links of a group, without waiting. Throws std::system_error if the child is gone.
    void order(std::uint32_t group);

    // The errno of the ordered deletion, 0 on success; nullopt: the child has not answered. An empty group is no error.
    // If the child ended without an answer, the errno is EIO.
    std::optional<int> take_answer();

    // Readable when an answer has arrived or the child has ended.
    int fd() const { return socket_.get(); }

    // Lets the child end. An idle child ends at once. A busy child ends when the kernel finishes its request.
    void dismiss() { socket_ = UniqueFd{}; }
    // Readable once the child has ended.
    int end_fd() const { return end_.get(); }
    // Collects the child without waiting. Returns false if the child has not ended.
    bool collect() const;

private:
    UniqueFd socket_;
    UniqueFd end_; // pidfd_open(2)
    pid_t child_ = 0;
};

} // namespace qemutap
