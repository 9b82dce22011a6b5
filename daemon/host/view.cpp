// SPDX-License-Identifier: MIT
//
// Applies events and dumps to one state.

#include "daemon/host/view.hpp"

#include "daemon/core/lease_table.hpp"
#include "daemon/host/parse.hpp"

#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <new>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace qemutap {

namespace {

// A thousand taps deleted at once cause some 6 MB of events. Only above this size are events lost.
constexpr int receive_buffer_bytes = 16 * 1024 * 1024;
// The size of the kernel's largest multicast: one link with all attributes that it can have.
constexpr std::size_t datagram_bytes = 65536;
// The least number of bytes that a datagram takes of the receive buffer in addition to its own length (the kernel's
// SKB_TRUESIZE).
constexpr std::size_t least_overhead_bytes = 512;
// So many datagrams in one call of drain() are a flood. A lease of 32 taps that begins or ends causes some 300.
constexpr std::size_t flood_datagrams = 1000;
// More setting changes than this in a second are a flood: a program changes settings in a loop, and the loop of the
// daemon then reads events less often.
constexpr unsigned settings_in_a_second = 100;
constexpr auto min_dump_distance = std::chrono::milliseconds{100};

NlSocket open_monitor()
{
    auto socket = connect_route_socket();
    const int fd = nl_socket_get_fd(socket.get());
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes) != 0)
        throw std::system_error{errno, std::generic_category(),
                                "can't enlarge the netlink receive buffer (is CAP_NET_ADMIN missing?)"};
    if (nl_socket_add_memberships(socket.get(), RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE,
                                  RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF, RTNLGRP_IPV6_IFINFO, 0) < 0)
        throw std::system_error{errno, std::generic_category(), "can't join the rtnetlink groups"};
    return socket;
}

} // namespace

View::View(RouteRequests &requests)
    : requests_{requests},
      monitor_{open_monitor()}
{}

int View::fd() const
{
    return nl_socket_get_fd(monitor_.get());
}

const HostState &View::drain()
{
    // Stop after the bytes that were queued when the call began: later events happened after the call, and a busy
    // sender can't keep the daemon here. After a loss the kernel drops all events until the queue is empty, without
    // another notice, so then empty the queue.
    const auto queued = queued_bytes();
    const auto floods_before = floods_;
    std::size_t datagrams = 0;
    for (std::size_t received = 0, bytes = 0;
         (bytes = receive()) != 0 && (received < queued || floods_ != floods_before); ++datagrams)
        received += bytes + least_overhead_bytes;
    if (datagrams >= flood_datagrams || std::exchange(settings_flood_, false))
        ++floods_;
    apply_noted_links();
    if (!complete_)
        dump_all();
    else if (routes_doubtful_)
        dump_routes(state_);
    return state_;
}

const HostState &View::ask_for_link(int ifindex)
{
    drain();
    request_link(ifindex);
    return state_;
}

const HostState &View::ask_for_down_taps()
{
    drain();
    for (const int ifindex : std::set<int>{state_.down_taps()})
        request_link(ifindex);
    return state_;
}

const HostState &View::ask_for_all_taps()
{
    drain();
    requests_.dump(
        RTM_GETLINK, AF_UNSPEC, [] {},
        [&](nlmsghdr &message) {
            if (auto link = parse_link(message); link && link->is_tap)
                state_.link_changed(std::move(*link));
        },
        [](nl_msg &request) {
            auto *kind = nla_nest_start(&request, IFLA_LINKINFO);
            if (!kind)
                throw std::bad_alloc{};
            require_libnl(nla_put_string(&request, IFLA_INFO_KIND, "tun"), "a kind of links");
            nla_nest_end(&request, kind);
            require_libnl(nla_put_u32(&request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS), "a filter of links");
        });
    return state_;
}

void View::request_link(int ifindex)
{
    auto request = make_message(RTM_GETLINK, 0);
    ifinfomsg header{};
    header.ifi_index = ifindex;
    require_libnl(nlmsg_append(request.get(), &header, sizeof header, NLMSG_ALIGNTO), "a link's request");
    try {
        requests_.perform(*request, "link " + std::to_string(ifindex), [&](nlmsghdr &message) {
            if (auto link = parse_link(message))
                state_.link_changed(std::move(*link));
        });
    } catch (const std::system_error &error) {
        if (error.code() != std::errc::no_such_device)
            throw;
        state_.link_gone(ifindex);
    }
}

const HostState &View::dump_again()
{
    drain();
    if (std::chrono::steady_clock::now() - last_dump_ >= min_dump_distance)
        dump_all();
    return state_;
}

std::size_t View::queued_bytes() const
{
    std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
    socklen_t size = sizeof memory;
    if (::getsockopt(fd(), SOL_SOCKET, SO_MEMINFO, memory.data(), &size) != 0)
        throw std::system_error{errno, std::generic_category(), "can't see how many network events are queued"};
    return memory[SK_MEMINFO_RMEM_ALLOC];
}

// Receives one datagram. Returns its length in bytes, 0 if there is none, and 1 if the call was interrupted or events
// were lost.
std::size_t View::receive()
{
    static thread_local std::vector<char> buffer(datagram_bytes);
    sockaddr_nl sender{};
    iovec vector{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    const auto received = ::recvmsg(fd(), &message, MSG_DONTWAIT);
    if (received < 0) {
        if (errno == EAGAIN)
            return 0;
        if (errno == EINTR)
            return 1;
        complete_ = false;
        if (errno != ENOBUFS)
            throw std::system_error{errno, std::generic_category(), "can't receive network events"};
        ++floods_;
        return 1;
    }
    const auto length = static_cast<std::size_t>(received);
    if ((message.msg_flags & MSG_TRUNC) != 0) {
        complete_ = false;
        return length;
    }
    if (sender.nl_pid != 0)
        return length; // another process sent it, not the kernel
    int rest = static_cast<int>(received);
    for (auto *header = reinterpret_cast<nlmsghdr *>(buffer.data()); nlmsg_ok(header, rest);
         header = nlmsg_next(header, &rest))
        apply(*header);
    return length;
}

void View::apply(const nlmsghdr &message)
{
    switch (message.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        note_link(message);
        break;
    case RTM_NEWNETCONF:
        if (announces_one_setting(message))
            note_setting();
        break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
        apply_address(message);
        break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        apply_route(message);
        break;
    default:
        break;
    }
}

// Keeps only the last message of a link that was added or changed. One fact of the earlier messages matters: a link
// that is deleted or set down loses its routes, and the kernel does not announce which (for IPv4).
void View::note_link(const nlmsghdr &message)
{
    const auto &header = *reinterpret_cast<const ifinfomsg *>(reinterpret_cast<const char *>(&message) + NLMSG_HDRLEN);
    if (!is_of_link_itself(message)) {
        // IPv6 sends its own message about a device when it is switched on there.
        if (message.nlmsg_len >= NLMSG_LENGTH(sizeof header) && header.ifi_family == AF_INET6)
            note_setting();
        return;
    }
    const bool gone = message.nlmsg_type == RTM_DELLINK;
    if (gone || (header.ifi_flags & IFF_UP) == 0)
        note_routes_of(header.ifi_index);
    if (gone) {
        noted_links_.erase(header.ifi_index);
        state_.link_gone(header.ifi_index);
        return;
    }
    const auto *bytes = reinterpret_cast<const char *>(&message);
    noted_links_[header.ifi_index].assign(bytes, bytes + message.nlmsg_len);
}

void View::note_setting()
{
    const auto now = std::chrono::steady_clock::now();
    if (now - settings_second_ >= std::chrono::seconds{1}) {
        settings_second_ = now;
        settings_heard_ = 0;
    }
    if (++settings_heard_ > settings_in_a_second)
        settings_flood_ = true;
}

// Marks the routes through a link as doubtful. Ignores this service's own taps: their routes disappear with the link or
// return with it.
void View::note_routes_of(int ifindex)
{
    const auto *link = state_.link(ifindex);
    if (!(link && own_tag(*link)) && state_.may_route_through(ifindex))
        routes_doubtful_ = true;
}

void View::apply_noted_links()
{
    for (const auto &[ifindex, bytes] : noted_links_)
        if (auto link = parse_link(*reinterpret_cast<const nlmsghdr *>(bytes.data())))
            state_.link_changed(std::move(*link));
    noted_links_.clear();
}

void View::apply_address(const nlmsghdr &message)
{
    const auto address = parse_address(message);
    if (!address)
        return;
    if (message.nlmsg_type == RTM_NEWADDR) {
        state_.address_added(*address);
        return;
    }
    state_.address_gone(*address);
    // The kernel deletes routes with this source address without an event.
    note_routes_of(address->ifindex);
}

void View::apply_route(const nlmsghdr &message)
{
    const auto route = parse_route(message);
    if (!route)
        return;
    // The kernel replaces a route without an event about the old one. Routes through several links look equal here, so
    // the end of one would remove all of them.
    if ((message.nlmsg_flags & NLM_F_REPLACE) != 0 || (message.nlmsg_type == RTM_DELROUTE && route->oif == 0))
        routes_doubtful_ = true;
    if (message.nlmsg_type == RTM_NEWROUTE)
        state_.route_added(*route);
    else
        state_.route_gone(*route);
}

void View::dump_all()
{
    HostState fresh;
    requests_.dump(
        RTM_GETLINK, AF_UNSPEC, [&] { fresh = HostState{}; },
        [&](nlmsghdr &message) {
            if (auto link = parse_link(message))
                fresh.link_changed(std::move(*link));
        });
    // Addresses and routes are sets. If a dump starts again, repeated objects change nothing, and an event reports each
    // object that no longer exists.
    requests_.dump(
        RTM_GETADDR, AF_INET, [] {},
        [&](nlmsghdr &message) {
            if (const auto address = parse_address(message))
                fresh.address_added(*address);
        });
    dump_routes(fresh);
    state_.replace_with(std::move(fresh));
    complete_ = true;
    last_dump_ = std::chrono::steady_clock::now();
}

void View::dump_routes(HostState &state)
{
    requests_.dump(
        RTM_GETROUTE, AF_INET, [&] { state.drop_routes(); },
        [&](nlmsghdr &message) {
            if (const auto route = parse_route(message))
                state.route_added(*route);
        });
    routes_doubtful_ = false;
}

} // namespace qemutap
