// SPDX-License-Identifier: MIT
//
// Reads attribute by attribute, as <linux/if_link.h>, <linux/if_addr.h> and <linux/rtnetlink.h> define them.

#include "daemon/host/parse.hpp"

#include "common/ipv4.hpp"
#include "daemon/host/setting_numbers.hpp"

#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

// <net/if.h> and <linux/if.h> can't be included together, and only <linux/if.h> defines it.
#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000
#endif

namespace qemutap {

namespace {

template <int Max>
using Attributes = std::array<nlattr *, Max + 1>;

// libnl only reads the message, but its functions lack const.
nlmsghdr *mutable_header(const nlmsghdr &message)
{
    return const_cast<nlmsghdr *>(&message);
}

template <int Max>
std::optional<Attributes<Max>> attributes_of(const nlmsghdr &message, int header_size)
{
    Attributes<Max> attributes{};
    if (!nlmsg_valid_hdr(mutable_header(message), header_size) ||
        nlmsg_parse(mutable_header(message), header_size, attributes.data(), Max, nullptr) < 0)
        return std::nullopt;
    return attributes;
}

template <int Max>
Attributes<Max> nested(nlattr *attribute)
{
    Attributes<Max> attributes{};
    if (!attribute || nla_parse_nested(attributes.data(), Max, attribute, nullptr) < 0)
        attributes.fill(nullptr);
    return attributes;
}

std::optional<std::uint32_t> u32(nlattr *attribute)
{
    if (!attribute || nla_len(attribute) < static_cast<int>(sizeof(std::uint32_t)))
        return std::nullopt;
    return nla_get_u32(attribute);
}

std::optional<std::uint8_t> u8(nlattr *attribute)
{
    if (!attribute || nla_len(attribute) < static_cast<int>(sizeof(std::uint8_t)))
        return std::nullopt;
    return nla_get_u8(attribute);
}

bool flag(nlattr *attribute)
{
    return u8(attribute).value_or(0) != 0;
}

std::string text(nlattr *attribute)
{
    if (!attribute)
        return {};
    const auto *begin = static_cast<const char *>(nla_data(attribute));
    return {begin, strnlen(begin, static_cast<std::size_t>(nla_len(attribute)))};
}

std::optional<Ipv4Address> ipv4(nlattr *attribute)
{
    const auto value = u32(attribute);
    if (!value)
        return std::nullopt;
    return Ipv4Address{ntohl(*value)};
}

// Returns one element of an array of s32, the form in which IPv4 and IPv6 send their settings; nullopt beyond its end.
std::optional<std::int32_t> element(nlattr *array, int position)
{
    std::int32_t value = 0;
    const auto offset = static_cast<int>(sizeof value) * position;
    if (!array || nla_len(array) < offset + static_cast<int>(sizeof value))
        return std::nullopt;
    std::memcpy(&value, static_cast<const char *>(nla_data(array)) + offset, sizeof value);
    return value;
}

LinkSettings parse_settings(nlattr *af_spec, unsigned flags)
{
    const auto families = nested<AF_INET6>(af_spec);
    const auto inet = nested<IFLA_INET_MAX>(families[AF_INET]);
    const auto inet6 = nested<IFLA_INET6_MAX>(families[AF_INET6]);
    LinkSettings settings;
    for (std::size_t row = 0; row < tap_settings.size(); ++row) {
        auto &value = settings.values.at(row);
        switch (tap_settings.at(row).kind) {
        case SettingKind::ipv4:
            value = element(inet[IFLA_INET_CONF], setting_numbers.at(row) - 1);
            break;
        case SettingKind::ipv6:
            value = element(inet6[IFLA_INET6_CONF], setting_numbers.at(row));
            break;
        case SettingKind::addr_gen_mode:
            if (auto *mode = inet6[IFLA_INET6_ADDR_GEN_MODE]; mode && nla_len(mode) >= 1)
                value = nla_get_u8(mode);
            break;
        case SettingKind::multicast:
            value = (flags & IFF_MULTICAST) != 0 ? 1 : 0;
            break;
        }
    }
    return settings;
}

void parse_tun(nlattr *link_info, Link &link)
{
    const auto kind = nested<IFLA_INFO_MAX>(link_info);
    if (text(kind[IFLA_INFO_KIND]) != "tun")
        return;
    const auto tun = nested<IFLA_TUN_MAX>(kind[IFLA_INFO_DATA]);
    if (u8(tun[IFLA_TUN_TYPE]) != IFF_TAP)
        return;
    link.is_tap = true;
    link.tun_owner = u32(tun[IFLA_TUN_OWNER]);
    link.persistent = flag(tun[IFLA_TUN_PERSIST]);
    link.queues = u32(tun[IFLA_TUN_NUM_QUEUES]);
    link.disabled_queues = u32(tun[IFLA_TUN_NUM_DISABLED_QUEUES]).value_or(0);
}

std::vector<std::string> parse_alt_names(nlattr *properties)
{
    std::vector<std::string> names;
    if (!properties)
        return names;
    nlattr *property = nullptr;
    int rest = 0;
    nla_for_each_nested(property, properties, rest) if (nla_type(property) == IFLA_ALT_IFNAME)
        names.push_back(text(property));
    return names;
}

} // namespace

bool is_of_link_itself(const nlmsghdr &message)
{
    auto *header = mutable_header(message);
    return nlmsg_valid_hdr(header, sizeof(ifinfomsg)) &&
           static_cast<const ifinfomsg *>(nlmsg_data(header))->ifi_family == AF_UNSPEC &&
           nlmsg_find_attr(header, sizeof(ifinfomsg), IFLA_IFNAME);
}

std::optional<Link> parse_link(const nlmsghdr &message)
{
    const auto parsed = attributes_of<IFLA_MAX>(message, sizeof(ifinfomsg));
    if (!parsed || !is_of_link_itself(message))
        return std::nullopt;
    const auto &attributes = *parsed;
    const auto &header = *static_cast<const ifinfomsg *>(nlmsg_data(mutable_header(message)));
    Link link;
    link.ifindex = header.ifi_index;
    link.name = text(attributes[IFLA_IFNAME]);
    link.alt_names = parse_alt_names(attributes[IFLA_PROP_LIST]);
    link.alias = text(attributes[IFLA_IFALIAS]);
    link.group = u32(attributes[IFLA_GROUP]).value_or(0);
    if (auto *mac = attributes[IFLA_ADDRESS]; mac && nla_len(mac) == static_cast<int>(link.mac.bytes.size()))
        std::memcpy(link.mac.bytes.data(), nla_data(mac), link.mac.bytes.size());
    link.up = (header.ifi_flags & IFF_UP) != 0;
    link.carrier = (header.ifi_flags & IFF_LOWER_UP) != 0;
    link.settings = parse_settings(attributes[IFLA_AF_SPEC], header.ifi_flags);
    parse_tun(attributes[IFLA_LINKINFO], link);
    return link;
}

bool announces_one_setting(const nlmsghdr &message)
{
    const auto attributes = attributes_of<NETCONFA_MAX>(message, sizeof(netconfmsg));
    return attributes && std::count_if(attributes->begin(), attributes->end(),
                                       [](const nlattr *attribute) { return attribute != nullptr; }) == 2;
}

std::optional<HostAddress> parse_address(const nlmsghdr &message)
{
    const auto attributes = attributes_of<IFA_MAX>(message, sizeof(ifaddrmsg));
    if (!attributes)
        return std::nullopt;
    const auto &header = *static_cast<const ifaddrmsg *>(nlmsg_data(mutable_header(message)));
    const auto peer = ipv4((*attributes)[IFA_ADDRESS]);
    const auto local = ipv4((*attributes)[IFA_LOCAL]);
    if (header.ifa_family != AF_INET || header.ifa_prefixlen > 32 || (!peer && !local))
        return std::nullopt;
    // If the message has a peer, the prefix length belongs to the peer, and the local address has no subnet.
    const Ipv4Address own = local.value_or(*(peer ? peer : local));
    const Ipv4Address other = peer.value_or(own);
    const unsigned length = header.ifa_prefixlen;
    return HostAddress{static_cast<int>(header.ifa_index), {own, own == other ? length : 32}, {other, length}};
}

std::optional<HostRoute> parse_route(const nlmsghdr &message)
{
    const auto attributes = attributes_of<RTA_MAX>(message, sizeof(rtmsg));
    if (!attributes)
        return std::nullopt;
    const auto &header = *static_cast<const rtmsg *>(nlmsg_data(mutable_header(message)));
    if (header.rtm_family != AF_INET || (header.rtm_flags & RTM_F_CLONED) != 0 || header.rtm_dst_len > 32)
        return std::nullopt;
    HostRoute route;
    route.table = u32((*attributes)[RTA_TABLE]).value_or(header.rtm_table);
    route.destination = {ipv4((*attributes)[RTA_DST]).value_or(Ipv4Address{}), header.rtm_dst_len};
    route.oif = static_cast<int>(u32((*attributes)[RTA_OIF]).value_or(0));
    route.tos = header.rtm_tos;
    route.priority = u32((*attributes)[RTA_PRIORITY]).value_or(0);
    route.type = header.rtm_type;
    route.via = ipv4((*attributes)[RTA_GATEWAY]).value_or(Ipv4Address{});
    return route;
}

} // namespace qemutap
