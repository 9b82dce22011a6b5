// SPDX-License-Identifier: MIT
//
// Writes each request by hand into one buffer, because the cost of a library is part of what the floor is compared
// with.

#include "tests/bench/bare_tap.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

// After <net/if.h>: the kernel's header leaves out what the C library's header has defined.
#include <linux/ip.h>

namespace qemutap::bench {

namespace {

constexpr int first_ifindex = 1500000000; // below the service's
constexpr std::uint32_t pool = 10U << 24 | 128U << 16;
constexpr unsigned prefix_length = 30;
constexpr unsigned long owner = 1000;
constexpr std::uint32_t live_group = 0x62656e63;
constexpr std::uint32_t doomed_group = live_group + 1;
// As long as the alias of a lease with a label of some letters.
constexpr std::string_view alias =
    "bench:1 lease=0123456789abcdef tap=0/1 uid=1000 hold=name mac=52:54:00:18:00:1d label=web";

void require(bool holds, const char *what)
{
    if (!holds)
        throw std::system_error{errno, std::generic_category(), what};
}

// One request, which asks for an acknowledgement.
class Request {
public:
    template <typename Body>
    Request(int type, int flags, const Body &body)
    {
        header_.nlmsg_type = static_cast<std::uint16_t>(type);
        header_.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
        append(&body, sizeof body);
    }

    void attribute(int type, const void *value, std::size_t size)
    {
        const auto begun = begin(type);
        append(value, size);
        end(begun);
    }

    // Begins a nested attribute. Attributes added before `end` are inside it.
    std::size_t begin(int type)
    {
        const auto begun = length_;
        const rtattr attribute{0, static_cast<std::uint16_t>(type)};
        append(&attribute, sizeof attribute);
        return begun;
    }
    void end(std::size_t begun)
    {
        const auto size = static_cast<std::uint16_t>(length_ - begun);
        std::memcpy(bytes_.data() + begun, &size, sizeof size);
    }

    std::string_view bytes(std::uint32_t sequence)
    {
        header_.nlmsg_seq = sequence;
        header_.nlmsg_len = static_cast<std::uint32_t>(length_);
        std::memcpy(bytes_.data(), &header_, sizeof header_);
        return {bytes_.data(), length_};
    }

private:
    void append(const void *value, std::size_t size)
    {
        std::memcpy(bytes_.data() + length_, value, size);
        length_ += NLMSG_ALIGN(size);
    }

    alignas(NLMSG_ALIGNTO) std::array<char, 512> bytes_{};
    nlmsghdr header_{};
    std::size_t length_ = sizeof header_;
};

ifinfomsg link_of(int ifindex, unsigned flags = 0)
{
    ifinfomsg body{};
    body.ifi_index = ifindex;
    body.ifi_flags = flags;
    body.ifi_change = IFF_UP;
    return body;
}

Request settings_of(const BareTap &tap)
{
    auto body = link_of(tap.ifindex);
    body.ifi_change = 0;
    Request request{RTM_NEWLINK, 0, body};
    request.attribute(IFLA_IFALIAS, alias.data(), alias.size());
    const std::array<unsigned char, 6> mac{
        0xfe, 0x54, 0x00, 0x18, static_cast<unsigned char>(tap.gateway >> 8), static_cast<unsigned char>(tap.gateway)};
    request.attribute(IFLA_ADDRESS, mac.data(), mac.size());
    const auto families = request.begin(IFLA_AF_SPEC);
    const auto family = request.begin(AF_INET);
    const auto settings = request.begin(IFLA_INET_CONF);
    constexpr std::array<std::pair<int, std::uint32_t>, 5> values{{{IPV4_DEVCONF_RP_FILTER, 1},
                                                                   {IPV4_DEVCONF_ARP_IGNORE, 1},
                                                                   {IPV4_DEVCONF_ACCEPT_REDIRECTS, 0},
                                                                   {IPV4_DEVCONF_SEND_REDIRECTS, 0},
                                                                   {IPV4_DEVCONF_IGNORE_ROUTES_WITH_LINKDOWN, 1}}};
    for (const auto &[setting, value] : values)
        request.attribute(setting, &value, sizeof value);
    request.end(settings);
    request.end(family);
    request.end(families);
    return request;
}

Request address_of(const BareTap &tap)
{
    ifaddrmsg body{};
    body.ifa_family = AF_INET;
    body.ifa_prefixlen = prefix_length;
    body.ifa_index = static_cast<unsigned>(tap.ifindex);
    Request request{RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body};
    const auto address = htonl(tap.gateway);
    request.attribute(IFA_LOCAL, &address, sizeof address);
    const auto broadcast = htonl(tap.gateway + 2);
    request.attribute(IFA_BROADCAST, &broadcast, sizeof broadcast);
    return request;
}

Request group_of(const BareTap &tap, std::uint32_t group, unsigned flags)
{
    Request request{RTM_NEWLINK, 0, link_of(tap.ifindex, flags)};
    request.attribute(IFLA_GROUP, &group, sizeof group);
    return request;
}

// Like the service, writes the setting only if a new device does not have the value already.
void switch_ipv6_off(const std::string &name)
{
    const auto path = "/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6";
    char digit = 0;
    {
        const UniqueFd setting{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
        if (setting && ::read(setting.get(), &digit, 1) == 1 && digit == '1')
            return;
    }
    const UniqueFd setting{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    require(setting && ::write(setting.get(), "1", 1) == 1, "disable_ipv6");
}

} // namespace

BareTap::BareTap(unsigned index)
    : name{"bare" + std::to_string(index)},
      gateway{pool + 4 * index + 1},
      ifindex{first_ifindex + static_cast<int>(index)}
{}

Kernel::Kernel()
    : socket_{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)}
{
    require(static_cast<bool>(socket_), "a netlink socket");
}

template <typename Message>
void Kernel::perform(Message message, const char *what)
{
    const auto bytes = message.bytes(++sequence_);
    require(::send(socket_.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()), what);
    struct {
        nlmsghdr header;
        nlmsgerr error;
        char rest[512];
    } answer{};
    require(::recv(socket_.get(), &answer, sizeof answer, 0) >= static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr))),
            what);
    errno = answer.header.nlmsg_type == NLMSG_ERROR ? -answer.error.error : EBADMSG;
    require(errno == 0, what);
}

void Kernel::create(BareTap &tap, bool persistent)
{
    tap.queue = UniqueFd{::open("/dev/net/tun", O_RDWR | O_CLOEXEC)};
    require(static_cast<bool>(tap.queue), "/dev/net/tun");
    require(::ioctl(tap.queue.get(), TUNSETIFINDEX, &tap.ifindex) == 0, "TUNSETIFINDEX");
    ifreq request{};
    tap.name.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
    require(::ioctl(tap.queue.get(), TUNSETIFF, &request) == 0, "TUNSETIFF");
    require(::ioctl(tap.queue.get(), TUNSETOWNER, owner) == 0, "TUNSETOWNER");
    perform(settings_of(tap), "alias, MAC and settings");
    switch_ipv6_off(tap.name);
    perform(address_of(tap), "address");
    perform(group_of(tap, live_group, IFF_UP), "up");
    if (!persistent)
        return;
    require(::ioctl(tap.queue.get(), TUNSETPERSIST, 1UL) == 0, "TUNSETPERSIST");
    tap.queue = UniqueFd{}; // a process can open the device by name only after that
}

void Kernel::remove(const std::vector<BareTap> &taps)
{
    for (const auto &tap : taps)
        perform(group_of(tap, doomed_group, 0), "down");
    Request request{RTM_DELLINK, 0, ifinfomsg{}};
    request.attribute(IFLA_GROUP, &doomed_group, sizeof doomed_group);
    perform(request, "the deletion of a group");
}

} // namespace qemutap::bench
