// SPDX-License-Identifier: MIT
//
// Descriptors on their way to a caller. A message of the bus may lie unread for as long as its receiver likes, and
// dbus-daemon stops reading from a sender of whom too many descriptors are undelivered. So an answer carries one: the
// caller's end of a socket, in whose queue all descriptors of the lease already are. It needs no token and no timer:
// where the answer is dropped, the kernel closes the socket, with it the queue and with that the taps.
// Our end shows when that is over: the queue is shorter than it was, or the other end is gone.

#pragma once

#include "common/unique_fd.hpp"
#include "daemon/core/turnstile.hpp"

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace qemutap {

class HandOvers {
public:
    // Throws std::system_error.
    HandOvers();

    // Readable when settle() has something to do.
    int fd() const { return watched_.get(); }

    // The caller's end, with all these descriptors in its queue. The pass is held until they have been received or
    // dropped. Throws std::system_error; then it is let go and the descriptors are closed.
    UniqueFd begin(std::vector<UniqueFd> descriptors, const std::string &lease, uid_t uid, Turnstile::Pass pass);

    // Lets go of what has been received or dropped; others may begin in it. Does not throw.
    void settle();

    // Those of one user that have neither been received nor dropped.
    std::vector<std::string> leases(uid_t uid) const;

private:
    struct Pending {
        UniqueFd end; // ours
        int queued;   // as SIOCOUTQ has it
        std::string lease;
        uid_t uid;
        Turnstile::Pass pass;
    };
    static bool is_over(const Pending &pending, std::uint32_t events);

    UniqueFd watched_; // epoll(7), edge-triggered: its readers are woken once for each change
    std::map<std::uint64_t, Pending> pending_;
    std::uint64_t begun_ = 0;
};

} // namespace qemutap
