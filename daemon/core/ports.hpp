// SPDX-License-Identifier: MIT
//
// The two doors through which the core reaches the kernel: one creates taps, one sees and changes links.
// Both throw std::system_error with the call and the device in the text when the kernel refuses, unless
// said otherwise, and have then changed nothing that outlives the tap's descriptors. A third leads to programs
// that choose among the host's taps.

#pragma once

#include "common/ipv4.hpp"
#include "common/mac_address.hpp"
#include "common/unique_fd.hpp"
#include "daemon/core/host_state.hpp"
#include "daemon/core/tap_tag.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace qemutap {

// Of the taps that we make. The ifindex is what can be chosen before a device exists, and so the only thing by
// which udev, whose first look at a new device may come before its alias is written, can tell ours from others
// (systemd/70-qemu-tapd.rules). The kernel counts up from 1 and never comes here. Decimal: udev's rules match text.
inline constexpr int first_own_ifindex = 1'700'000'000;
inline constexpr int last_own_ifindex = 1'799'999'999;

// A tap that exists while this does; closing the queues of one that is not persistent deletes it, with its
// addresses and routes.
struct OpenTap {
    std::string name;
    int ifindex = 0;
    std::vector<UniqueFd> queues;
    bool entered = false; // somebody else attached to it before it had its owner
};

// How a tap is made.
struct TapShape {
    unsigned queues = 1;  // above 1: IFF_MULTI_QUEUE
    bool open_all = true; // a descriptor for each queue, else one
    bool vnet = true;     // IFF_VNET_HDR
};

class TapCreator {
public:
    virtual ~TapCreator() = default;

    // A new tap that is down and belongs to `owner` alone (I4). nullopt: the name is in use, by whatever it may be.
    // Throws TapError tun_unavailable where there is no usable /dev/net/tun.
    virtual std::optional<OpenTap> create(const std::string &name, uid_t owner, const TapShape &shape) = 0;

    // Throws TapError vhost_unavailable where there is no usable /dev/vhost-net.
    virtual std::vector<UniqueFd> open_vhost(unsigned count) = 0;

    virtual void set_persistent(const OpenTap &tap, bool persistent) = 0;
};

// A deletion that has begun and that the kernel does not end while a process uses one of its links. The links are gone
// from the host, but not from the kernel's memory.
struct Undeleted {
    uid_t owner = 0;
    std::size_t links = 0;
    std::chrono::nanoseconds age{};
};

class HostLinks {
public:
    virtual ~HostLinks() = default;

    // All of these return the same object, which is valid as long as this port.

    // The host as it was at the last call of another method. Asks nothing.
    virtual const HostState &known_state() const = 0;

    // Takes in all events that the kernel has queued: every change whose effect a call of ours could have seen.
    virtual const HostState &take_in_events() = 0;

    // Takes in all events, then asks for one link.
    virtual const HostState &ask_for_link(int ifindex) = 0;

    // Takes in all events, then asks for every tap that is down: the kernel announces no change of such a tap's alias,
    // group or alternative names.
    virtual const HostState &ask_for_down_taps() = 0;

    // Takes in all events, then asks for every tap: the kernel announces no change of most settings.
    virtual const HostState &ask_for_all_taps() = 0;

    // Takes in all events, then replaces the state by a fresh dump, unless the last dump is very recent.
    virtual const HostState &dump_again() = 0;

    // The links that changed, came or went since the last call of this method, each once.
    virtual std::set<int> take_changed_links() = 0;

    // The tag as alias, host-side MAC, and the settings of its profile (tap_settings); all before the link is up.
    virtual void configure(const OpenTap &tap, const TapTag &tag, const MacAddress &mac) = 0;
    // Puts back the settings that a tap of ours has by its profile, and asks for the tap again. Does nothing if the tap
    // is gone.
    virtual void restore_settings(int ifindex) = 0;
    // What the host has now. Does not throw.
    virtual HostWideValues host_wide_values() = 0;
    virtual void add_address(const OpenTap &tap, const Ipv4Prefix &address) = 0;
    // Up, and in the group live_group, in one step.
    virtual void bring_up(const OpenTap &tap) = 0;
    // Of a tap that is up; it goes with the tap, and also when somebody sets that down. false: somebody has a route to
    // this destination.
    virtual bool add_route(const OpenTap &tap, const Ipv4Prefix &destination) = 0;

    // Returns when the links are gone from the host, whatever their holders do (I6). All are taps of one owner: one
    // that can't be deleted delays the end of the others. The caller has made sure that they are ours (I3).
    virtual void remove(const std::vector<int> &ifindexes, uid_t owner) = 0;

    // The deletions that had not ended when events were last taken in.
    virtual std::vector<Undeleted> undeleted() const = 0;
};

// Marks on the names of our taps, by which programs that take any tap whose name they like pass over them. Nothing
// here throws, and no lease fails for want of a mark.
class NameMarks {
public:
    virtual ~NameMarks() = default;

    // Before a device of ours has the name. A second time it changes nothing.
    virtual void mark(const std::string &name) noexcept = 0;

    // No device of ours has the name any more. Marks of others stay.
    virtual void unmark(const std::string &name) noexcept = 0;

    // Of our marks, those on these names and no others.
    virtual void mark_only(const std::set<std::string> &names) noexcept = 0;
};

} // namespace qemutap
