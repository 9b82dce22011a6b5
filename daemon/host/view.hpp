// SPDX-License-Identifier: MIT
//
// Keeps a HostState equal to the kernel's state. It starts with a dump, then applies what the kernel multicasts
// (rtnetlink(7): RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, and three more groups about settings). The
// kernel queues an event to this socket before any other system call of this process can see its effect. Draining the
// queue before a decision therefore equals a fresh dump, at a cost that does not grow with the number of objects. The
// view queries what the kernel does not announce: routes that the kernel may have deleted; a link that is down, whose
// alias, group and alternative names change without an event; and most settings.

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
    // `requests` sends the dump requests and must outlive this object.
    explicit View(RouteRequests &requests);

    // Readable when drain() has something to read.
    int fd() const;

    // Drains the queue. Dumps everything again if events were lost (ENOBUFS), and the routes if some may have been
    // deleted without an event. Throws std::system_error; the next call then makes the missing dumps.
    const HostState &drain();

    // The state as of the last call of another method. Queries nothing.
    const HostState &state() const { return state_; }

    // Drains, then queries one link.
    const HostState &ask_for_link(int ifindex);
    // Drains, then queries each tap that is down.
    const HostState &ask_for_down_taps();

    // Drains, then queries all taps in one dump of taps alone.
    const HostState &ask_for_all_taps();

    // Drains, then dumps everything again unless the last dump is younger than a tenth of a second.
    const HostState &dump_again();

    // Returns the links that were added, changed or removed since the last call, each once.
    std::set<int> take_changed_links() { return state_.take_changed(); }

    // How often events were lost, or so many came at once that they nearly were. A holder of a descriptor can cause
    // this, so the loop then reads events less often.
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
    // The last message about each link in this call of drain(). A holder can make its tap send thousands of messages,
    // and parsing a message costs ten times as much as receiving it.
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
