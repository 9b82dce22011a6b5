// SPDX-License-Identifier: MIT
//
// Sends one request and reads one answer. If the exchange ends in any other way than by the kernel's answer, the code
// replaces the socket: it must never take a late acknowledgement for the answer to the next request.

#include "daemon/host/netlink.hpp"

#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>
#include <utility>

namespace qemutap {

namespace {

constexpr int max_dump_attempts = 20;
// No answer is longer: a part of a dump has at most 32 KiB (the kernel's netlink_dump()), and the length of an
// attribute has 16 bits. A buffer of this size saves libnl's default extra call that peeks at the length of each
// message.
constexpr std::size_t answer_bytes = 65536;

// MAX_ERRNO of the kernel's <linux/err.h>.
constexpr int max_errno = 4095;

// Converts the kernel's negative errno to a positive one. A negative value that is no errno is an error too.
int errno_of(int result)
{
    if (result >= 0)
        return 0;
    return result >= -max_errno ? -result : EPROTO;
}

using Callbacks = std::unique_ptr<nl_cb, decltype(&nl_cb_put)>;

} // namespace

// The answer to one request.
struct RouteRequests::Answer {
    const EachMessage *each = nullptr;
    std::exception_ptr problem; // thrown by `each`; it must not pass through libnl's C code
    int kernel_errno = 0;
    bool ended = false;
    bool interrupted = false;

    static int on_object(nl_msg *message, void *answer)
    {
        auto &self = *static_cast<Answer *>(answer);
        try {
            if (*self.each && !self.problem)
                (*self.each)(*nlmsg_hdr(message));
        } catch (...) {
            self.problem = std::current_exception();
        }
        return NL_OK;
    }

    static int on_ack(nl_msg *, void *answer)
    {
        static_cast<Answer *>(answer)->ended = true;
        return NL_STOP;
    }

    static int on_done(nl_msg *message, void *answer)
    {
        auto &self = *static_cast<Answer *>(answer);
        self.ended = true;
        self.kernel_errno = errno_of_done(*nlmsg_hdr(message));
        return NL_STOP;
    }

    static int on_error(sockaddr_nl *, nlmsgerr *error, void *answer)
    {
        auto &self = *static_cast<Answer *>(answer);
        self.ended = true;
        self.kernel_errno = errno_of(error->error);
        return NL_STOP;
    }

    static int on_interrupted(nl_msg *, void *answer)
    {
        static_cast<Answer *>(answer)->interrupted = true;
        return NL_OK;
    }

    Callbacks callbacks()
    {
        Callbacks callbacks{nl_cb_alloc(NL_CB_DEFAULT), &nl_cb_put};
        if (!callbacks)
            throw std::bad_alloc{};
        nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, on_object, this);
        nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, on_ack, this);
        nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, on_done, this);
        nl_cb_set(callbacks.get(), NL_CB_DUMP_INTR, NL_CB_CUSTOM, on_interrupted, this);
        nl_cb_err(callbacks.get(), NL_CB_CUSTOM, on_error, this);
        return callbacks;
    }
};

NlSocket connect_route_socket()
{
    NlSocket socket{nl_socket_alloc()};
    if (!socket)
        throw std::bad_alloc{};
    if (nl_connect(socket.get(), NETLINK_ROUTE) < 0)
        throw std::system_error{errno, std::generic_category(), "can't open a NETLINK_ROUTE socket"};
    require_libnl(nl_socket_set_msg_buf_size(socket.get(), answer_bytes), "a buffer's size");
    nl_socket_disable_msg_peek(socket.get());
    return socket;
}

NlMessage make_message(int type, int flags)
{
    NlMessage message{nlmsg_alloc_simple(type, flags)};
    if (!message)
        throw std::bad_alloc{};
    return message;
}

void require_libnl(int result, const char *what)
{
    if (result == -NLE_NOMEM)
        throw std::bad_alloc{};
    if (result < 0)
        throw std::system_error{EIO, std::generic_category(), std::string{what} + ": netlink: " + nl_geterror(result)};
}

int errno_of_done(const nlmsghdr &message)
{
    int result = 0;
    if (message.nlmsg_type != NLMSG_DONE || message.nlmsg_len < NLMSG_LENGTH(sizeof result))
        return 0;
    std::memcpy(&result, reinterpret_cast<const char *>(&message) + NLMSG_HDRLEN, sizeof result);
    return errno_of(result);
}

RouteRequests::RouteRequests()
    : socket_{connect_route_socket()}
{}

RouteRequests::Answer RouteRequests::exchange(nl_msg &message, const std::string &what, const EachMessage &each)
{
    try {
        Answer answer;
        answer.each = &each;
        const auto callbacks = answer.callbacks();
        require_libnl(nl_send_auto(socket_.get(), &message), what.c_str());
        while (!answer.ended) {
            const int result = nl_recvmsgs(socket_.get(), callbacks.get());
            if (result < 0 && !answer.ended && result != -NLE_DUMP_INTR)
                require_libnl(result, what.c_str());
        }
        if (answer.problem)
            std::rethrow_exception(answer.problem);
        return answer;
    } catch (...) {
        socket_ = connect_route_socket();
        throw;
    }
}

void RouteRequests::perform(nl_msg &message, const std::string &what, const EachMessage &each)
{
    nlmsg_hdr(&message)->nlmsg_flags |= NLM_F_ACK;
    if (const auto answer = exchange(message, what, each); answer.kernel_errno != 0)
        throw std::system_error{answer.kernel_errno, std::generic_category(), what};
}

void RouteRequests::dump(int type, unsigned char family, const std::function<void()> &begin, const EachMessage &each,
                         const std::function<void(nl_msg &)> &attributes)
{
    const std::string what = "dump of request type " + std::to_string(type);
    for (int attempt = 0; attempt < max_dump_attempts; ++attempt) {
        begin();
        auto message = make_message(type, NLM_F_DUMP);
        // This header is long enough for all three kinds of dump requests, and the kernel's own tools send it too.
        ifinfomsg header{};
        header.ifi_family = family;
        require_libnl(nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO), "a dump's header");
        if (attributes)
            attributes(*message);
        const auto answer = exchange(*message, what, each);
        if (answer.kernel_errno != 0)
            throw std::system_error{answer.kernel_errno, std::generic_category(), what};
        if (!answer.interrupted)
            return;
    }
    throw std::system_error{EAGAIN, std::generic_category(), what + ": it changes faster than it can be read"};
}

} // namespace qemutap
