// SPDX-License-Identifier: MIT
//
// Counts the queues that a new device gets while anybody may attach to it: who attached and left again is in no
// count that can be asked for, but may have left a packet filter or a group behind. The kernel announces each
// queue to udev (NETLINK_KOBJECT_UEVENT) in the call that adds it, so what has been heard after a call is all that
// happened before.

#pragma once

#include "common/unique_fd.hpp"

#include <string>

namespace qemutap {

class QueueWatch {
public:
    // Hears from now on. Throws std::system_error.
    QueueWatch();

    // Whether the device of that name got more than the one queue it was made with. A kernel that announces nothing
    // is believed; where announcements were lost, the answer is yes.
    bool heard_of_another(const std::string &name) const;

private:
    UniqueFd socket_;
};

} // namespace qemutap
