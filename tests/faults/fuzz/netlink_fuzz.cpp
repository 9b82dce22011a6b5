// SPDX-License-Identifier: MIT
//
// The kernel's messages contain what other programs choose: names, alternative names, aliases, addresses, routes. This
// target reads each message as the host view hands it over, in a header with the right length; the rest is any bytes.
//
// The message lies at the end of readable memory, so a read beyond it crashes, also in libnl, which no sanitizer
// watches. The padding after it must not change what it means.

#include "common/ipv4.hpp"
#include "daemon/host/netlink.hpp"
#include "daemon/host/parse.hpp"
#include "tests/faults/fuzz/require.hpp"

#include <linux/rtnetlink.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

using namespace qemutap;

namespace {

constexpr std::size_t room = 16'384;
constexpr int max_errno = 4095; // MAX_ERRNO of the kernel
constexpr std::uint32_t longest_prefix = 32;

// Holds one message at the end of readable memory.
class LastBytes {
public:
    LastBytes()
    {
        const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        auto *memory = ::mmap(nullptr, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        require(memory != MAP_FAILED, "the system gives memory");
        end_ = static_cast<std::uint8_t *>(memory) + room;
        require(::mprotect(end_, page, PROT_NONE) == 0, "the system makes memory unreadable");
    }

    // Fills the padding that aligns messages with this byte.
    const nlmsghdr &message(int type, std::string_view payload, std::uint8_t padding)
    {
        const auto length = NLMSG_HDRLEN + payload.size();
        auto *begin = end_ - NLMSG_ALIGN(length);
        std::fill(begin, end_, padding);
        nlmsghdr header{};
        header.nlmsg_len = static_cast<std::uint32_t>(length);
        header.nlmsg_type = static_cast<std::uint16_t>(type);
        std::memcpy(begin, &header, sizeof header);
        std::copy(payload.begin(), payload.end(), begin + NLMSG_HDRLEN);
        return *reinterpret_cast<const nlmsghdr *>(begin);
    }

private:
    std::uint8_t *end_ = nullptr;
};

struct Read {
    bool of_link_itself = false;
    std::optional<Link> link;
    std::optional<HostAddress> address;
    std::optional<HostRoute> route;
    int done = 0;
    int not_done = 0;

    friend bool operator==(const Read &, const Read &) = default;
};

Read read(LastBytes &memory, std::string_view payload, std::uint8_t padding)
{
    const auto &event = memory.message(RTM_NEWLINK, payload, padding);
    Read read;
    read.of_link_itself = is_of_link_itself(event);
    read.link = parse_link(event);
    read.address = parse_address(event);
    read.route = parse_route(event);
    read.not_done = errno_of_done(event);
    read.done = errno_of_done(memory.message(NLMSG_DONE, payload, padding));
    return read;
}

// A text is part of the message and contains no NUL.
void require_text(const std::string &text, std::string_view payload)
{
    require(text.find('\0') == std::string::npos, "a text contains no NUL");
    require(payload.find(text) != std::string_view::npos, "a text is part of the message");
}

void check_link(const Link &link, std::string_view payload)
{
    std::int32_t ifindex = 0;
    std::memcpy(&ifindex, payload.data() + offsetof(ifinfomsg, ifi_index), sizeof ifindex);
    require(link.ifindex == ifindex, "a link has the ifindex of the header");
    require_text(link.name, payload);
    require_text(link.alias, payload);
    for (const auto &name : link.alt_names)
        require_text(name, payload);
    require(link.is_tap || (!link.tun_owner && !link.persistent && !link.queues && link.disabled_queues == 0),
            "only a tap has an owner, persistence and queues");
}

void check_prefix(const Ipv4Prefix &prefix)
{
    require(prefix.length <= longest_prefix, "a prefix has at most 32 bits");
    require(prefix.first() <= prefix.last(), "a prefix's first address is not after its last");
}

// The host view accepts what was read, as its events bring it, and can remove it again.
void check_state(const Read &read)
{
    HostState state;
    if (read.link) {
        state.link_changed(*read.link);
        require(state.link(read.link->ifindex) && *state.link(read.link->ifindex) == *read.link,
                "the host state knows a link that was added");
        require(state.name_taken(read.link->name), "a link's name is taken");
    }
    if (read.address) {
        state.address_added(*read.address);
        require(state.occupied(read.address->local), "an address occupies its subnet");
        state.address_gone(*read.address);
    }
    if (read.route) {
        state.route_added(*read.route);
        state.route_gone(*read.route);
        require(state.routes().empty(), "a removed route is gone");
    }
    if (read.link) {
        state.link_gone(read.link->ifindex);
        require(!state.name_taken(read.link->name), "the name of a removed link is free");
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *bytes, std::size_t size)
{
    static LastBytes memory;
    const auto payload = text_of(bytes, std::min(size, room - NLMSG_HDRLEN - NLMSG_ALIGNTO));
    const auto is = read(memory, payload, 0);
    require(is == read(memory, payload, 0xff), "the bytes after a message do not change its meaning");

    require(is.of_link_itself == is.link.has_value(), "only a message of the link itself is read as a link");
    require(!is.link || payload.size() >= sizeof(ifinfomsg), "a link has a header");
    require(!is.address || payload.size() >= sizeof(ifaddrmsg), "an address has a header");
    require(!is.route || payload.size() >= sizeof(rtmsg), "a route has a header");
    if (is.link)
        check_link(*is.link, payload);
    if (is.address) {
        check_prefix(is.address->local);
        check_prefix(is.address->peer);
    }
    if (is.route)
        check_prefix(is.route->destination);
    require(is.done >= 0 && is.done <= max_errno, "a dump ends with success or with an errno that exists");
    require(is.not_done == 0, "only the end of a dump has an errno");
    check_state(is);
    return 0;
}
