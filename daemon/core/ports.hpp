// SPDX-License-Identifier: MIT
//
// The ports of the core. TapCreator creates taps. HostLinks reads and changes the host's links. NameMarks reaches other
// programs that choose among the host's taps. If the kernel refuses a call, the methods of TapCreator and HostLinks
// throw std::system_error with the call and the device in the text, unless their comments say otherwise. After such an
// exception no change remains that outlives the tap's descriptors.

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

// The range of the ifindexes of this service's taps. A program can choose an ifindex before the device exists. udev may
// look at a new device before the service writes its alias. At that moment only the ifindex distinguishes this
// service's taps from others (systemd/70-qemu-tapd.rules). The kernel counts up from 1 and never reaches this range.
// The bounds are decimal because udev's rules match text.
inline constexpr int first_own_ifindex = 1'700'000'000;
inline constexpr int last_own_ifindex = 1'799'999'999;

// A tap that exists as long as this object. When the queues of a tap that is not persistent close, the kernel deletes
// the tap with its addresses and routes.
struct OpenTap {
    std::string name;
    int ifindex = 0;
    std::vector<UniqueFd> queues;
    bool entered = false; // another process attached to the tap before it had its owner
};

// The properties with which a tap is created.
struct TapShape {
    unsigned queues = 1;  // above 1: IFF_MULTI_QUEUE
    bool open_all = true; // true: a descriptor for each queue; false: one descriptor
    bool vnet = true;     // IFF_VNET_HDR
};

class TapCreator {
public:
    virtual ~TapCreator() = default;

    // Creates a tap that is down and belongs to `owner` alone (I4). Returns nullopt if the name is in use by any
    // device. Throws TapError tun_unavailable if there is no usable /dev/net/tun.
    virtual std::optional<OpenTap> create(const std::string &name, uid_t owner, const TapShape &shape) = 0;

    // Opens /dev/vhost-net `count` times. Throws TapError vhost_unavailable if there is no usable /dev/vhost-net.
    virtual std::vector<UniqueFd> open_vhost(unsigned count) = 0;

    virtual void set_persistent(const OpenTap &tap, bool persistent) = 0;
};

// A deletion that has begun, and that the kernel does not finish while a process uses one of the links. The links are
// removed from the host, but still occupy the kernel's memory.
struct Undeleted {
    uid_t owner = 0;
    std::size_t links = 0;
    std::chrono::nanoseconds age{};
};

class HostLinks {
public:
    virtual ~HostLinks() = default;

    // All methods that return a HostState return the same object. It is valid as long as this port.

    // The host as of the last call of another method. Queries nothing.
    virtual const HostState &known_state() const = 0;

    // Takes in all events that the kernel has queued. The state then contains every change whose effect an earlier
    // system call of this process could have seen.
    virtual const HostState &take_in_events() = 0;

    // Takes in all events, then queries one link.
    virtual const HostState &ask_for_link(int ifindex) = 0;

    // Takes in all events, then queries every tap that is down: the kernel does not announce changes of such a tap's
    // alias, group or alternative names.
    virtual const HostState &ask_for_down_taps() = 0;

    // Takes in all events, then queries every tap: the kernel does not announce changes of most settings.
    virtual const HostState &ask_for_all_taps() = 0;

    // Takes in all events, then replaces the state with a fresh dump, unless the last dump is very recent.
    virtual const HostState &dump_again() = 0;

    // Returns the links that were added, changed or removed since the last call, each once.
    virtual std::set<int> take_changed_links() = 0;

    // Sets the tag as alias, the host-side MAC, and the settings of the tag's profile (tap_settings). Call it before
    // the link is up.
    virtual void configure(const OpenTap &tap, const TapTag &tag, const MacAddress &mac) = 0;
    // Puts back the settings that the profile of this service's tap requires, then queries the tap. Does nothing if the
    // tap no longer exists.
    virtual void restore_settings(int ifindex) = 0;
    // Returns the present values of the host-wide settings. Does not throw.
    virtual HostWideValues host_wide_values() = 0;
    virtual void add_address(const OpenTap &tap, const Ipv4Prefix &address) = 0;
    // Sets the tap up and moves it into the group live_group, in one step.
    virtual void bring_up(const OpenTap &tap) = 0;
    // Adds a route through a tap that is up. The kernel deletes the route with the tap, and also when a program sets
    // the tap down. Returns false if a route to this destination exists.
    virtual bool add_route(const OpenTap &tap, const Ipv4Prefix &destination) = 0;

    // Deletes links and returns when they are removed from the host, whatever their holders do (I6). All must be taps
    // of one owner, because a link that can't be deleted delays the end of the others. The caller must have checked
    // that they belong to this service (I3).
    virtual void remove(const std::vector<int> &ifindexes, uid_t owner) = 0;

    // The deletions that had not finished when events were last taken in.
    virtual std::vector<Undeleted> undeleted() const = 0;
};

// Marks on the names of this service's taps. Some programs take any tap whose name they accept, and the marks make them
// skip these taps. No method throws, and no lease fails because a mark is missing.
class NameMarks {
public:
    virtual ~NameMarks() = default;

    // Marks a name. Call it before a device of this service has the name. A second call with the same name changes
    // nothing.
    virtual void mark(const std::string &name) noexcept = 0;

    // Removes this service's mark from a name. Call it when no device of this service has the name any more. Marks of
    // other programs stay.
    virtual void unmark(const std::string &name) noexcept = 0;

    // Marks these names, and removes this service's marks from all other names.
    virtual void mark_only(const std::set<std::string> &names) noexcept = 0;
};

} // namespace qemutap
