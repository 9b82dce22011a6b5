// SPDX-License-Identifier: MIT
//
// Counts the queues that a new device gets while any process may attach to it. A process that attached and left is in
// no count that the kernel reports, but it may have left a packet filter or a group on the device. The kernel announces
// each queue to udev (NETLINK_KOBJECT_UEVENT) in the call that adds the queue. After a system call of this process, the
// socket therefore holds the announcements of all queues that were added before.

#pragma once

#include "common/unique_fd.hpp"

#include <string>

namespace qemutap {

class QueueWatch {
public:
    // Receives announcements from now on. Throws std::system_error.
    QueueWatch();

    // True if the device of this name got more queues than the one that it was created with. False if the kernel
    // announced nothing. True if announcements were lost.
    bool heard_of_another(const std::string &name) const;

private:
    UniqueFd socket_;
};

} // namespace qemutap
