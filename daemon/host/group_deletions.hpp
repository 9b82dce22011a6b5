// SPDX-License-Identifier: MIT
//
// Deletes links by their group, in threads of their own. The kernel takes links out of the host in less than a
// millisecond, says so (RTM_DELLINK) and frees its lock; its caller alone it keeps some 20 ms more, until nobody can
// still be looking at them (rcu_barrier() in netdev_run_todo(), net/core/dev.c). Whoever needs the links gone need not
// wait with it, nor those who come next.

#pragma once

#include "common/unique_fd.hpp"
#include "daemon/host/netlink.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <future>
#include <string>
#include <thread>

namespace qemutap {

class GroupDeletions {
public:
    // Throws std::system_error.
    GroupDeletions();
    GroupDeletions(const GroupDeletions &) = delete;
    GroupDeletions &operator=(const GroupDeletions &) = delete;
    // Waits for those that are under way.
    ~GroupDeletions();

    // Begins one, after waiting for the oldest where many are under way. What it gives is ready when the kernel lets
    // its caller go, and throws std::system_error with the kernel's errno and `what` if it refused. That there is no
    // link in the group is no error: they went by themselves. Throws std::system_error if it can't begin.
    std::future<void> begin(std::uint32_t group, const std::string &what);

    // Readable when one has ended since the last forget_ended().
    int fd() const { return ended_.get(); }
    void forget_ended();

private:
    // A request and its answer have a socket to themselves.
    struct Lane {
        RouteRequests requests;
        std::thread thread;
    };

    UniqueFd ended_;
    std::array<Lane, 3> lanes_;
    std::size_t next_ = 0;
};

} // namespace qemutap
