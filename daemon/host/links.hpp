// SPDX-License-Identifier: MIT
//
// Changes links through rtnetlink(7), and through /proc/sys the IPv6 settings that rtnetlink can't change. Each
// rtnetlink request has the ifindex, never a name or a pattern (I3). /proc/sys knows only names, so the daemon checks a
// tap before it hands the tap over.

#pragma once

#include "common/ipv4.hpp"
#include "common/mac_address.hpp"
#include "common/unique_fd.hpp"
#include "contract/profile.hpp"
#include "daemon/core/ports.hpp"
#include "daemon/host/group_deletions.hpp"
#include "daemon/host/netlink.hpp"
#include "daemon/host/view.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

struct rtnl_link;

namespace qemutap {

class Links : public HostLinks {
public:
    explicit Links(std::string proc_sys = "/proc/sys");

    const HostState &known_state() const override { return view_.state(); }
    const HostState &take_in_events() override;
    const HostState &ask_for_link(int ifindex) override { return view_.ask_for_link(ifindex); }
    const HostState &ask_for_down_taps() override;
    const HostState &ask_for_all_taps() override { return view_.ask_for_all_taps(); }
    const HostState &dump_again() override { return view_.dump_again(); }
    std::set<int> take_changed_links() override { return view_.take_changed_links(); }
    void configure(const OpenTap &tap, const TapTag &tag, const MacAddress &mac) override;
    void restore_settings(int ifindex) override;
    HostWideValues host_wide_values() override;
    void add_address(const OpenTap &tap, const Ipv4Prefix &address) override;
    void bring_up(const OpenTap &tap) override;
    bool add_route(const OpenTap &tap, const Ipv4Prefix &destination) override;
    void remove(const std::vector<int> &ifindexes, uid_t owner) override;
    std::vector<Undeleted> undeleted() const override { return deletions_.undeleted(); }

    // Starts the processes that delete links, so that no deletion waits for a fork. Call it when the daemon has only
    // the rights that it keeps, because the processes inherit them. Throws std::system_error; later deletions then try
    // again.
    void prepare_deletions() { deletions_.prepare(); }

    // Readable when take_in_events() has something to take in.
    int fd() const { return news_.get(); }

    View &view() { return view_; }

private:
    using StillNamed = std::function<bool()>;
    void change_settings(int ifindex, rtnl_link &changes, Profile profile, const std::string &what);
    void write_ipv6_setting(const TapSetting &setting, const std::string &name, const StillNamed &still_named) const;
    void move_to_group(int ifindex, std::uint32_t group, bool up, const std::string &what);
    std::uint32_t unused_group();
    std::vector<int> take_down(const std::vector<int> &ifindexes, std::uint32_t group);
    void wait_for_news(std::chrono::steady_clock::time_point deadline);
    bool any_left(const std::vector<int> &ifindexes);

    std::string proc_sys_;
    RouteRequests requests_;
    View view_;
    GroupDeletions deletions_;
    UniqueFd news_; // epoll(7): the view's events, and the answers and ends of deletions
};

} // namespace qemutap
