// SPDX-License-Identifier: MIT
//
// One request, one answer. After anything but an answer of the kernel's the socket is replaced: a late
// acknowledgement must never be taken for that of the next request.

#include "daemon/host/netlink.hpp"

#include <linux/rtnetlink.h>

#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

namespace qemutap {

namespace {

constexpr int max_dump_attempts = 20;

[[noreturn]] void throw_libnl(int result, const std::string &what)
{
    throw std::system_error{EIO, std::generic_category(), what + ": netlink: " + nl_geterror(result)};
}

} // namespace

NlSocket connect_route_socket()
{
    NlSocket socket{nl_socket_alloc()};
    if (!socket)
        throw std::bad_alloc{};
    if (nl_connect(socket.get(), NETLINK_ROUTE) < 0)
        throw std::system_error{errno, std::generic_category(), "can't open a NETLINK_ROUTE socket"};
    return socket;
}

NlMessage make_message(int type, int flags)
{
    NlMessage message{nlmsg_alloc_simple(type, flags)};
    if (!message)
        throw std::bad_alloc{};
    return message;
}

void require_room(int libnl_result)
{
    if (libnl_result < 0)
        throw std::bad_alloc{};
}

RouteRequests::RouteRequests() : socket_{connect_route_socket()} {}

int RouteRequests::receive_answer(const std::string &what)
{
    kernel_errno_ = 0;
    interrupted_ = false;
    const std::unique_ptr<nl_cb, decltype(&nl_cb_put)> callbacks{nl_cb_alloc(NL_CB_DEFAULT), &nl_cb_put};
    if (!callbacks)
        throw std::bad_alloc{};
    bool answered = false;
    const auto on_end = [](nl_msg *, void *answered_flag) -> int {
        *static_cast<bool *>(answered_flag) = true;
        return NL_STOP;
    };
    const auto on_error = [](sockaddr_nl *, nlmsgerr *error, void *kernel_errno) -> int {
        *static_cast<int *>(kernel_errno) = -error->error;
        return NL_STOP;
    };
    const auto on_object = [](nl_msg *message, void *requests) -> int {
        static_cast<RouteRequests *>(requests)->each_(*nlmsg_hdr(message));
        return NL_OK;
    };
    const auto on_interrupted = [](nl_msg *, void *interrupted) -> int {
        *static_cast<bool *>(interrupted) = true;
        return NL_OK;
    };
    nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, on_end, &answered);
    nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, on_end, &answered);
    nl_cb_set(callbacks.get(), NL_CB_DUMP_INTR, NL_CB_CUSTOM, on_interrupted, &interrupted_);
    nl_cb_err(callbacks.get(), NL_CB_CUSTOM, on_error, &kernel_errno_);
    if (each_)
        nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, on_object, this);
    while (!answered && kernel_errno_ == 0)
        if (const int result = nl_recvmsgs(socket_.get(), callbacks.get());
            result < 0 && kernel_errno_ == 0 && result != -NLE_DUMP_INTR)
            throw_libnl(result, what);
    return kernel_errno_;
}

int RouteRequests::exchange(nl_msg &message, const std::string &what)
{
    try {
        if (const int result = nl_send_auto(socket_.get(), &message); result < 0)
            throw_libnl(result, what);
        return receive_answer(what);
    } catch (...) {
        socket_ = connect_route_socket();
        throw;
    }
}

void RouteRequests::perform(nl_msg &message, const std::string &what)
{
    get(message, what, nullptr);
}

void RouteRequests::get(nl_msg &message, const std::string &what, const std::function<void(nlmsghdr &)> &each)
{
    nlmsg_hdr(&message)->nlmsg_flags |= NLM_F_ACK;
    each_ = each;
    if (const int refusal = exchange(message, what); refusal != 0)
        throw std::system_error{refusal, std::generic_category(), what};
}

void RouteRequests::dump(int type, unsigned char family, const std::function<void()> &begin,
                         const std::function<void(nlmsghdr &)> &each)
{
    const std::string what = "dump of request type " + std::to_string(type);
    for (int attempt = 0; attempt < max_dump_attempts; ++attempt) {
        begin();
        auto message = make_message(type, NLM_F_DUMP);
        // Long enough for each of the three families of requests, and what the kernel's own tools send.
        ifinfomsg header{};
        header.ifi_family = family;
        require_room(nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO));
        each_ = each;
        const int refusal = exchange(*message, what);
        each_ = nullptr;
        if (refusal != 0)
            throw std::system_error{refusal, std::generic_category(), what};
        if (!interrupted_)
            return;
    }
    throw std::system_error{EAGAIN, std::generic_category(), what + ": it changes faster than it can be read"};
}

} // namespace qemutap
