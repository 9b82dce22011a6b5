// SPDX-License-Identifier: MIT
//
// Sends requests to the kernel over rtnetlink(7), and waits for the answer to each before the next. libnl's sockets and
// messages are owned values here, and exceptions carry the kernel's own errno.

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

// Returns a connected NETLINK_ROUTE socket. Throws std::system_error.
NlSocket connect_route_socket();

// Returns an empty message of this type, for libnl's nlmsg_append() and nla_put(). Throws std::bad_alloc.
NlMessage make_message(int type, int flags);

// Throws std::system_error with libnl's reason if `result` is a libnl error, and std::bad_alloc if libnl lacked memory.
void require_libnl(int result, const char *what);

using EachMessage = std::function<void(nlmsghdr &)>;

class RouteRequests {
public:
    RouteRequests();

    // Sends the request and returns when the kernel has executed it. Calls `each` for every object of the answer.
    // Throws std::system_error with the kernel's errno and `what`.
    void perform(nl_msg &message, const std::string &what, const EachMessage &each = {});

    // Dumps the objects of this request type and family, AF_INET or AF_UNSPEC, and calls `each` for every object. If a
    // change interrupts the dump, the dump starts again. `begin` is called first each time. `attributes` appends
    // attributes to the request's header, which narrow the dump. Throws if the kernel broke the dump off.
    void dump(int type, unsigned char family, const std::function<void()> &begin, const EachMessage &each,
              const std::function<void(nl_msg &)> &attributes = {});

private:
    struct Answer;
    Answer exchange(nl_msg &message, const std::string &what, const EachMessage &each);

    NlSocket socket_;
};

// The errno with which the kernel ended a dump (the payload of NLMSG_DONE), 0 for success. libnl does not check it.
int errno_of_done(const nlmsghdr &message);

} // namespace qemutap
