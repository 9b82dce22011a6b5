// SPDX-License-Identifier: MIT
//
// Sends one request for each group of changes: alias, MAC and settings; the address; up and group; the route; the
// deletion of many links by their group.

#include "daemon/host/links.hpp"

#include "common/ipv4.hpp"
#include "common/mac_address.hpp"
#include "contract/profile.hpp"
#include "daemon/core/lease_table.hpp"
#include "daemon/host/setting_numbers.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet.h>
#include <netlink/route/link/inet6.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <new>
#include <string>
#include <system_error>

namespace qemutap {

namespace {

// Enough for thousands of links on a busy machine.
constexpr std::chrono::seconds longest_deletion{10};

struct NlObjectDeleter {
    void operator()(rtnl_link *link) const { rtnl_link_put(link); }
    void operator()(rtnl_addr *address) const { rtnl_addr_put(address); }
    void operator()(nl_addr *address) const { nl_addr_put(address); }
};
template <typename T>
using NlObject = std::unique_ptr<T, NlObjectDeleter>;

template <typename T>
NlObject<T> require_object(T *object)
{
    if (!object)
        throw std::bad_alloc{};
    return NlObject<T>{object};
}

NlObject<nl_addr> ipv4_object(Ipv4Address address, unsigned length)
{
    const auto in_network_order = htonl(address.value);
    auto object = require_object(nl_addr_build(AF_INET, &in_network_order, sizeof in_network_order));
    nl_addr_set_prefixlen(object.get(), static_cast<int>(length));
    return object;
}

NlMessage change_request(int ifindex, rtnl_link &changes)
{
    const auto original = require_object(rtnl_link_alloc());
    rtnl_link_set_ifindex(original.get(), ifindex);
    nl_msg *message = nullptr;
    require_libnl(rtnl_link_build_change_request(original.get(), &changes, 0, &message), "a change of a link");
    return NlMessage{message};
}

bool reads(const std::string &path, char wanted)
{
    const UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    char digit = '\0';
    return file && ::read(file.get(), &digit, 1) == 1 && digit == wanted;
}

} // namespace

Links::Links(std::string proc_sys)
    : proc_sys_{std::move(proc_sys)},
      view_{requests_},
      news_{::epoll_create1(EPOLL_CLOEXEC)}
{
    for (const int fd : {view_.fd(), deletions_.fd()}) {
        epoll_event event{};
        event.events = EPOLLIN;
        if (!news_ || ::epoll_ctl(news_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
            throw std::system_error{errno, std::generic_category(), "watching the network (epoll)"};
    }
}

void Links::configure(const OpenTap &tap, const TapTag &tag, const MacAddress &mac)
{
    const auto changes = require_object(rtnl_link_alloc());
    rtnl_link_set_ifalias(changes.get(), encode(tag).c_str());
    const auto address = require_object(nl_addr_build(AF_LLC, mac.bytes.data(), mac.bytes.size()));
    rtnl_link_set_addr(changes.get(), address.get());
    change_settings(tap.ifindex, *changes, tag.profile, "alias, MAC and settings of " + tap.name);
    for (const auto &setting : tap_settings)
        if (setting.kind == SettingKind::ipv6)
            write_ipv6_setting(setting, tap.name, [] { return true; });
}

void Links::restore_settings(int ifindex)
{
    const auto *link = view_.ask_for_link(ifindex).link(ifindex);
    const auto tag = link ? own_tag(*link) : std::nullopt;
    if (!tag)
        return;
    const auto name = link->name;
    const auto broken = broken_settings(link->settings, tag->profile);
    // An open file of /proc/sys stays the file of the device that had the name when it was opened: a renamed device
    // gets new files. So compare the name again after opening.
    const auto still_named = [&] {
        const auto *now = view_.ask_for_link(ifindex).link(ifindex);
        return now && now->name == name;
    };
    try {
        change_settings(ifindex, *require_object(rtnl_link_alloc()), tag->profile, "settings of " + name);
        for (const auto row : broken)
            if (const auto &setting = tap_settings.at(row); setting.kind == SettingKind::ipv6)
                write_ipv6_setting(setting, name, still_named);
    } catch (const std::system_error &) {
        if (still_named())
            throw;
    }
    view_.ask_for_link(ifindex);
}

// Sends the settings that netlink can change, together with `changes`, in one request.
void Links::change_settings(int ifindex, rtnl_link &changes, Profile profile, const std::string &what)
{
    for (std::size_t row = 0; row < tap_settings.size(); ++row)
        if (const auto &setting = tap_settings.at(row); setting.kind == SettingKind::ipv4)
            require_libnl(rtnl_link_inet_set_conf(&changes, static_cast<unsigned>(setting_numbers.at(row)),
                                                  static_cast<std::uint32_t>(promised_value(setting, profile))),
                          "an IPv4 setting");
    rtnl_link_unset_flags(&changes, IFF_MULTICAST);
    const auto without_ipv6 = change_request(ifindex, changes);
    {
        const auto mode = tap_settings.at(setting_row("addr_gen_mode")).value;
        require_libnl(rtnl_link_inet6_set_addr_gen_mode(&changes, static_cast<std::uint8_t>(mode)), "an IPv6 setting");
        try {
            requests_.perform(*change_request(ifindex, changes), what);
            return;
        } catch (const std::system_error &error) {
            // If the kernel lacks IPv6, or the device's MTU is too small for IPv6, the kernel refuses the whole request
            // before it changes anything.
            if (error.code() != std::errc::address_family_not_supported)
                throw;
        }
    }
    requests_.perform(*without_ipv6, what);
}

// A file that can't be written may have the right value already. In many containers /proc/sys is read-only, and the
// host switches IPv6 off by the setting of the container's default device.
void Links::write_ipv6_setting(const TapSetting &setting, const std::string &name, const StillNamed &still_named) const
{
    const auto directory = proc_sys_ + "/net/ipv6/conf/" + name + "/";
    const auto path = directory + std::string{setting.name};
    const auto value = std::to_string(setting.value);
    const UniqueFd file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    int error = file ? 0 : errno;
    if (error == ENOENT || !still_named())
        return; // the kernel lacks IPv6 or the device was renamed; the check of the finished tap finds out
    if (file && ::write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size()))
        return;
    error = file ? errno : error;
    const bool forbidden = error == EROFS || error == EACCES || error == EPERM;
    const bool is_optional = setting.optional_without_ipv6 && forbidden && reads(directory + "disable_ipv6", '1');
    if (is_optional || reads(path, value.front()))
        return;
    throw std::system_error{
        error, std::generic_category(),
        "can't switch IPv6 off on " + name + " by " + path +
            (forbidden ? " (let qemu-tapd write there, or set net.ipv6.conf.default.disable_ipv6=1)" : "")};
}

HostWideValues Links::host_wide_values()
{
    HostWideValues values;
    for (std::size_t row = 0; row < values.size(); ++row) {
        const auto path = proc_sys_ + "/net/ipv4/conf/all/" + std::string{host_wide_settings.at(row).name};
        const UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
        std::array<char, 16> text{};
        const auto length = file ? ::read(file.get(), text.data(), text.size()) : -1;
        int value = 0;
        if (length > 0 && std::from_chars(text.data(), text.data() + length, value).ec == std::errc{})
            values.at(row) = value;
    }
    return values;
}

void Links::add_address(const OpenTap &tap, const Ipv4Prefix &address)
{
    const auto request = require_object(rtnl_addr_alloc());
    rtnl_addr_set_ifindex(request.get(), tap.ifindex);
    require_libnl(rtnl_addr_set_local(request.get(), ipv4_object(address.address, address.length).get()), "an address");
    // A /32 would be its own broadcast address, and a /31 has none.
    if (address.length < 31)
        require_libnl(rtnl_addr_set_broadcast(request.get(), ipv4_object(address.last(), 32).get()), "an address");
    nl_msg *message = nullptr;
    require_libnl(rtnl_addr_build_add_request(request.get(), NLM_F_CREATE | NLM_F_EXCL, &message), "an address");
    requests_.perform(*NlMessage{message}, "address " + address.text() + " on " + tap.name);
}

void Links::bring_up(const OpenTap &tap)
{
    move_to_group(tap.ifindex, live_group, true, "setting " + tap.name + " up");
}

bool Links::add_route(const OpenTap &tap, const Ipv4Prefix &destination)
{
    auto message = make_message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
    rtmsg header{};
    header.rtm_family = AF_INET;
    header.rtm_dst_len = static_cast<unsigned char>(destination.length);
    header.rtm_table = RT_TABLE_MAIN;
    header.rtm_protocol = RTPROT_STATIC;
    header.rtm_scope = RT_SCOPE_LINK;
    header.rtm_type = RTN_UNICAST;
    require_libnl(nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO), "a route");
    require_libnl(nla_put_u32(message.get(), RTA_DST, htonl(destination.address.value)), "a route");
    require_libnl(nla_put_u32(message.get(), RTA_OIF, static_cast<std::uint32_t>(tap.ifindex)), "a route");
    try {
        requests_.perform(*message, "route to " + destination.text() + " through " + tap.name);
    } catch (const std::system_error &error) {
        if (error.code() != std::errc::file_exists)
            throw;
        return false;
    }
    return true;
}

void Links::move_to_group(int ifindex, std::uint32_t group, bool up, const std::string &what)
{
    const auto changes = require_object(rtnl_link_alloc());
    rtnl_link_set_group(changes.get(), group);
    if (up)
        rtnl_link_set_flags(changes.get(), IFF_UP);
    else
        rtnl_link_unset_flags(changes.get(), IFF_UP);
    requests_.perform(*change_request(ifindex, *changes), what);
}

const HostState &Links::take_in_events()
{
    deletions_.take_answers();
    return view_.drain();
}

const HostState &Links::ask_for_down_taps()
{
    deletions_.take_answers();
    return view_.ask_for_down_taps();
}

// Sets links down and moves them into the group. Returns the ifindexes of these links. Skips links that are being
// deleted or no longer exist.
std::vector<int> Links::take_down(const std::vector<int> &ifindexes, std::uint32_t group)
{
    std::vector<int> doomed;
    for (const int ifindex : ifindexes) {
        if (deletions_.is_under_way(ifindex))
            continue;
        try {
            move_to_group(ifindex, group, false, "setting link " + std::to_string(ifindex) + " down");
            doomed.push_back(ifindex);
        } catch (const std::system_error &error) {
            if (error.code() != std::errc::no_such_device)
                throw;
        }
    }
    return doomed;
}

// The kernel removes the links from the host and announces that before it waits for the processes that use them. So no
// holder of a descriptor delays this function. The deadline covers a kernel that behaves differently.
void Links::remove(const std::vector<int> &ifindexes, uid_t owner)
{
    const auto group = unused_group();
    const auto doomed = take_down(ifindexes, group);
    if (doomed.empty())
        return;
    const auto what = "deleting " + std::to_string(doomed.size()) + " links";
    const auto deadline = std::chrono::steady_clock::now() + longest_deletion;
    const auto outcome = deletions_.begin(group, owner, doomed);
    while (any_left(doomed)) {
        if (outcome->result && *outcome->result != 0)
            throw std::system_error{*outcome->result, std::generic_category(), what};
        if (outcome->result) {
            view_.drain(); // another program took the remaining links out of the group; the next sweep finds them
            return;
        }
        if (std::chrono::steady_clock::now() >= deadline)
            throw std::system_error{ETIMEDOUT, std::generic_category(), what};
        wait_for_news(deadline);
    }
    // The kernel announces a removal before it removes the link's files from /sys. It answers this query when it has
    // removed them.
    view_.ask_for_link(doomed.front());
}

void Links::wait_for_news(std::chrono::steady_clock::time_point deadline)
{
    using std::chrono::milliseconds;
    const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd news{news_.get(), POLLIN, 0};
    if (::poll(&news, 1, static_cast<int>(std::max(left, milliseconds::zero()).count())) < 0 && errno != EINTR)
        throw std::system_error{errno, std::generic_category(), "waiting for links to go"};
    deletions_.take_answers();
}

bool Links::any_left(const std::vector<int> &ifindexes)
{
    const auto &state = view_.drain();
    return std::any_of(ifindexes.begin(), ifindexes.end(), [&](int ifindex) { return state.link(ifindex) != nullptr; });
}

// Returns a group number that no link has, so that a deletion by group deletes only the links that this service moved
// there.
std::uint32_t Links::unused_group()
{
    const auto &links = view_.drain().links();
    for (;;) {
        std::uint32_t group = 0;
        if (::getrandom(&group, sizeof group, 0) != sizeof group)
            throw std::system_error{errno, std::generic_category(), "getrandom"};
        const bool used =
            std::any_of(links.begin(), links.end(), [&](const auto &link) { return link.second.group == group; });
        if (group != 0 && group != live_group && !used)
            return group;
    }
}

} // namespace qemutap
