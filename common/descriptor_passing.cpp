// SPDX-License-Identifier: MIT
//
// Sends with sendmsg(2) and receives with recvmsg(2), with one control message each.

#include "common/descriptor_passing.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace qemutap {

namespace {

struct Envelope {
    char byte = 0;
    iovec content{&byte, sizeof byte};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(max_passed_descriptors * sizeof(int))> control{};
    msghdr message{};

    explicit Envelope(std::size_t control_size)
    {
        message.msg_iov = &content;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control_size;
    }
    Envelope(const Envelope &) = delete;
    Envelope &operator=(const Envelope &) = delete;
};

void take(const cmsghdr &header, std::vector<UniqueFd> &descriptors)
{
    const std::size_t count = (header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
        int number = -1;
        std::memcpy(&number, CMSG_DATA(&header) + i * sizeof number, sizeof number);
        descriptors.emplace_back(number);
    }
}

} // namespace

void send_descriptors(int socket, std::span<const UniqueFd> descriptors)
{
    if (descriptors.empty() || descriptors.size() > max_passed_descriptors)
        throw std::system_error{EINVAL, std::generic_category(), "one message of descriptors"};
    const std::size_t size = descriptors.size() * sizeof(int);
    Envelope envelope{CMSG_SPACE(size)};
    auto *rights = CMSG_FIRSTHDR(&envelope.message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(size);
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
        const int number = descriptors[i].get();
        std::memcpy(CMSG_DATA(rights) + i * sizeof number, &number, sizeof number);
    }
    while (::sendmsg(socket, &envelope.message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            throw std::system_error{errno, std::generic_category(), "sendmsg"};
}

std::vector<UniqueFd> receive_descriptors(int socket)
{
    Envelope envelope{CMSG_SPACE(max_passed_descriptors * sizeof(int))};
    const auto received = ::recvmsg(socket, &envelope.message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (received < 0 && errno != EAGAIN)
        throw std::system_error{errno, std::generic_category(), "recvmsg"};
    std::vector<UniqueFd> descriptors;
    if (received < 0)
        return descriptors;
    for (auto *header = CMSG_FIRSTHDR(&envelope.message); header; header = CMSG_NXTHDR(&envelope.message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            take(*header, descriptors);
    if (envelope.message.msg_flags & MSG_CTRUNC)
        throw std::system_error{EMFILE, std::generic_category(), "recvmsg: not all descriptors"};
    return descriptors;
}

} // namespace qemutap
