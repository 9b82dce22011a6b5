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

// Throws std::system_error with libnl's reason if its result says that it failed.
void require_libnl(int result, const char *what);

using EachMessage = std::function<void(nlmsghdr &)>;

class RouteRequests {
public:
    RouteRequests();

    // Returns when the kernel has done it, after `each` was called for every object that it answered. Throws
    // std::system_error with the kernel's errno and `what`.
    void perform(nl_msg &message, const std::string &what, const EachMessage &each = {});

    // Calls `each` for every object of a dump of this request type and family, AF_INET or AF_UNSPEC. A dump
    // that was interrupted by a change is begun again; `begin` is called first each time. One that the kernel
    // broke off throws.
    // `attributes` are put behind the request's header, to narrow it.
    void dump(int type, unsigned char family, const std::function<void()> &begin, const EachMessage &each,
              const std::function<void(nl_msg &)> &attributes = {});

private:
    struct Answer;
    Answer exchange(nl_msg &message, const std::string &what, const EachMessage &each);

    NlSocket socket_;
};

// The errno with which the kernel ended a dump (the payload of NLMSG_DONE), 0 for none: libnl does not look.
int errno_of_done(const nlmsghdr &message);

} // namespace qemutap
