// SPDX-License-Identifier: MIT
//
// All ports of the core over a kernel in memory. A tap exists while the write end of a pipe, its "queue", is open, so
// closed descriptors have the same effect as in the kernel. Any call can be made to fail.

#pragma once

#include "common/error.hpp"
#include "common/ipv4.hpp"
#include "common/mac_address.hpp"
#include "common/unique_fd.hpp"
#include "contract/profile.hpp"
#include "daemon/core/lease_table.hpp"
#include "daemon/core/ports.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace qemutap {

class FakeHost : public TapCreator, public HostLinks, public NameMarks {
public:
    // The number of the call, from 1, that throws std::system_error(EIO); 0 for none.
    unsigned fail_at = 0;
    unsigned calls = 0;
    std::set<std::string> failing; // calls that throw too, by their lines in the journal
    bool vhost_present = false;
    std::set<std::string> taken_behind_our_back; // names that only create() finds in use
    std::function<void(Link &)> meddle;          // another program's change of a link as it comes up
    std::vector<std::vector<int>> removals;
    std::vector<uid_t> removals_of; // the owners of the removed taps, in the same order
    std::vector<Undeleted> deletions;
    std::vector<std::string> journal;
    std::set<std::string> marks;
    std::set<std::string> unmarked; // devices that were made without a mark, or lost it before they were deleted

    std::optional<OpenTap> create(const std::string &name, uid_t owner, const TapShape &shape) override
    {
        step("create " + name);
        if (state_.name_taken(name) || taken_behind_our_back.count(name))
            return std::nullopt;
        OpenTap tap{name, next_ifindex_++, {}};
        for (unsigned i = 0; i < (shape.open_all ? shape.queues : 1); ++i) {
            int ends[2];
            if (::pipe(ends) != 0)
                throw std::system_error{errno, std::generic_category(), "pipe"};
            readers_[tap.ifindex].emplace_back(ends[0]);
            tap.queues.emplace_back(ends[1]);
        }
        if (!marks.count(name))
            unmarked.insert(name);
        Link link;
        link.ifindex = tap.ifindex;
        link.name = name;
        link.is_tap = true;
        link.tun_owner = owner;
        link.carrier = true;
        if (shape.queues > 1)
            link.queues = static_cast<unsigned>(tap.queues.size());
        state_.link_changed(link);
        return tap;
    }

    std::vector<UniqueFd> open_vhost(unsigned count) override
    {
        step("vhost");
        if (!vhost_present)
            throw TapError{ErrorCode::vhost_unavailable, "no vhost"};
        std::vector<UniqueFd> descriptors;
        for (unsigned i = 0; i < count; ++i)
            descriptors.emplace_back(::dup(2));
        return descriptors;
    }

    void set_persistent(const OpenTap &tap, bool persistent) override
    {
        step((persistent ? "persist " : "unpersist ") + tap.name);
        change(tap.ifindex, [&](Link &link) { link.persistent = persistent; });
    }

    const HostState &known_state() const override { return state_; }
    const HostState &take_in_events() override
    {
        close_abandoned();
        return state_;
    }
    const HostState &ask_for_link(int) override { return take_in_events(); }
    const HostState &ask_for_down_taps() override { return take_in_events(); }
    const HostState &ask_for_all_taps() override
    {
        ++settings_looks;
        return take_in_events();
    }
    std::set<int> take_changed_links() override { return state_.take_changed(); }

    void restore_settings(int ifindex) override
    {
        step("restore " + std::to_string(ifindex));
        change(ifindex, [&](Link &link) {
            const auto tag = own_tag(link);
            link.settings = promised_settings(tag ? tag->profile : Profile::standard);
            if (after_restore)
                after_restore(link.settings);
        });
    }
    HostWideValues host_wide_values() override { return host_wide; }
    unsigned settings_looks = 0;
    std::function<void(LinkSettings &)> after_restore; // another program's change, or a file that cannot be written
    HostWideValues host_wide{};

    const HostState &dump_again() override
    {
        ++dumps;
        return take_in_events();
    }
    unsigned dumps = 0;

    void configure(const OpenTap &tap, const TapTag &tag, const MacAddress &mac) override
    {
        step("configure " + tap.name);
        change(tap.ifindex, [&](Link &link) {
            link.alias = encode(tag);
            link.mac = mac;
            link.settings = promised_settings(tag.profile);
        });
    }

    void add_address(const OpenTap &tap, const Ipv4Prefix &address) override
    {
        step("address " + tap.name);
        state_.address_added({tap.ifindex, address, address});
    }

    void bring_up(const OpenTap &tap) override
    {
        step("up " + tap.name);
        change(tap.ifindex, [&](Link &link) {
            link.up = true;
            link.group = live_group;
            if (meddle)
                meddle(link);
        });
    }

    bool add_route(const OpenTap &tap, const Ipv4Prefix &destination) override
    {
        step("route " + tap.name);
        HostRoute route;
        route.table = 254; // RT_TABLE_MAIN
        route.destination = destination;
        route.oif = tap.ifindex;
        if (std::any_of(state_.routes().begin(), state_.routes().end(), [&](const HostRoute &other) {
                return other.table == route.table && other.destination == route.destination;
            }))
            return false;
        state_.route_added(route);
        return true;
    }

    void remove(const std::vector<int> &ifindexes, uid_t owner) override
    {
        step("remove");
        removals.push_back(ifindexes);
        removals_of.push_back(owner);
        for (const int ifindex : ifindexes) {
            state_.link_gone(ifindex);
            readers_.erase(ifindex);
        }
    }

    std::vector<Undeleted> undeleted() const override { return deletions; }

    // Not in the journal, which records calls of the kernel only.
    void mark(const std::string &name) noexcept override { marks.insert(name); }

    void unmark(const std::string &name) noexcept override
    {
        close_abandoned();
        marks.erase(name);
        if (state_.name_taken(name))
            unmarked.insert(name);
    }

    void mark_only(const std::set<std::string> &names) noexcept override { marks = names; }

    // The kernel's own state, which a test changes as another program would.
    HostState &state() { return state_; }

    void change(int ifindex, const std::function<void(Link &)> &how)
    {
        Link link = *state_.link(ifindex);
        how(link);
        state_.link_changed(std::move(link));
    }

private:
    void step(const std::string &what)
    {
        close_abandoned();
        journal.push_back(what);
        if (++calls == fail_at || failing.count(what))
            throw std::system_error{EIO, std::generic_category(), what};
    }

    // Handles the end of a tap's last queue: the device is deleted, or stays without a carrier.
    void close_abandoned()
    {
        for (auto at = readers_.begin(); at != readers_.end();) {
            const bool held = std::any_of(at->second.begin(), at->second.end(), [](const UniqueFd &reader) {
                pollfd poll{reader.get(), POLLIN, 0};
                ::poll(&poll, 1, 0);
                return (poll.revents & POLLHUP) == 0;
            });
            if (held) {
                ++at;
                continue;
            }
            const int ifindex = at->first;
            at = readers_.erase(at);
            if (state_.link(ifindex)->persistent)
                change(ifindex, [](Link &link) { link.carrier = false; });
            else
                state_.link_gone(ifindex);
        }
    }

    HostState state_;
    int next_ifindex_ = 10;
    std::map<int, std::vector<UniqueFd>> readers_;
};

} // namespace qemutap
