// SPDX-License-Identifier: MIT
//
// Requests to the kernel over rtnetlink(7), one at a time, each answered before the next: libnl's sockets and
// messages as owned values, and the kernel's own errno in what is thrown.

#pragma once

#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <functional>
#include <memory>
#include <string>

namespace qemutap {

struct NlDeleter {
    void operator()(nl_sock *socket) const { nl_socket_free(socket); }
    void operator()(nl_msg *message) const { nlmsg_free(message); }
};
using NlSocket = std::unique_ptr<nl_sock, NlDeleter>;
using NlMessage = std::unique_ptr<nl_msg, NlDeleter>;

// A NETLINK_ROUTE socket, connected. Throws std::system_error.
NlSocket connect_route_socket();

// A message of this type, for libnl's nlmsg_append() and nla_put(); throws std::bad_alloc.
NlMessage make_message(int type, int flags);

// Throws std::bad_alloc if libnl could not do what only lack of room makes it refuse.
void require_room(int libnl_result);

class RouteRequests {
public:
    RouteRequests();

    // Returns when the kernel has done it. Throws std::system_error with the kernel's errno and `what`.
    void perform(nl_msg &message, const std::string &what);

    // The same, and calls `each` for the object that is answered.
    void get(nl_msg &message, const std::string &what, const std::function<void(nlmsghdr &)> &each);

    // Calls `each` for every object of a dump of this request type and family, AF_INET or AF_UNSPEC. A dump
    // that was interrupted by a change is begun again, `begin` is called first each time.
    void dump(int type, unsigned char family, const std::function<void()> &begin,
              const std::function<void(nlmsghdr &)> &each);

private:
    // 0, or the errno that the kernel answered; throws for everything that is no answer of the kernel's.
    int receive_answer(const std::string &what);
    int exchange(nl_msg &message, const std::string &what);

    NlSocket socket_;
    std::function<void(nlmsghdr &)> each_;
    int kernel_errno_ = 0;
    bool interrupted_ = false;
};

} // namespace qemutap
