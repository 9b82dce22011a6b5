// SPDX-License-Identifier: MIT
//
// Keeps a HostState equal to the kernel's: a dump first, then what the kernel multicasts (rtnetlink(7),
// RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, and three more that tell of settings). An event is queued to
// our socket before any other call of ours can see its effect, so draining the queue before a decision equals a fresh
// dump, at a cost that does not grow with what is present. What the kernel does not tell is asked for: routes that it
// may have dropped, a link that is down, whose alias, group and alternative names change without an event, and most
// settings.

#pragma once

#include "daemon/core/host_state.hpp"
#include "daemon/host/netlink.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace qemutap {

class View {
public:
    // `requests` is used for the dumps and must outlive this.
    explicit View(RouteRequests &requests);

    // Readable when there is something to drain.
    int fd() const;

    // Drains the queue; dumps again if events were lost (ENOBUFS), and the routes if some may have gone
    // without an event. Throws std::system_error; what was still to be dumped is then dumped by the next call.
    const HostState &drain();

    // The state as of the last call of another method. Asks nothing.
    const HostState &state() const { return state_; }

    // Drains, then asks for one link.
    const HostState &ask_for_link(int ifindex);
    // Drains, then asks for each tap that is down.
    const HostState &ask_for_down_taps();

    // Drains, then asks for all taps in one dump of taps alone.
    const HostState &ask_for_all_taps();

    // Drains, then dumps everything again unless the last dump is younger than a tenth of a second.
    const HostState &dump_again();

    // The links that changed, came or went since the last call, each once.
    std::set<int> take_changed_links() { return state_.take_changed(); }

    // How often so many events came at once that some were lost, or nearly. A holder of a descriptor can force it, so
    // the loop listens more slowly then.
    std::uint64_t floods() const { return floods_; }

private:
    void request_link(int ifindex);
    std::size_t queued_bytes() const;
    std::size_t receive();
    void apply(const nlmsghdr &message);
    void note_link(const nlmsghdr &message);
    void note_routes_of(int ifindex);
    void note_setting();
    void apply_noted_links();
    void apply_address(const nlmsghdr &message);
    void apply_route(const nlmsghdr &message);
    void dump_all();
    void dump_routes(HostState &state);

    RouteRequests &requests_;
    NlSocket monitor_;
    HostState state_;
    // What was last heard of each link in this draining: a holder can make its tap send thousands of messages, and
    // taking one apart costs ten times what receiving it does.
    std::unordered_map<int, std::vector<char>> noted_links_;
    bool complete_ = false; // false: the state must be dumped before it is used
    bool routes_doubtful_ = false;
    bool settings_flood_ = false;
    unsigned settings_heard_ = 0; // since settings_second_ began
    std::chrono::steady_clock::time_point settings_second_;
    std::uint64_t floods_ = 0;
    std::chrono::steady_clock::time_point last_dump_;
};

} // namespace qemutap
