// SPDX-License-Identifier: MIT
//
// qemu-tap-helper --use-vnet --fd=N --br=LABEL: called by QEMU where it wants a tap (`helper=`), by libvirt too. It
// gets a lease of one tap, as whoever called, and hands its descriptor over; from then on the tap is QEMU's and ends
// with it. QEMU takes whatever is there when the status is 0, so 0 means that the descriptor has been sent, and nothing
// else does. polkit never asks for a password here: QEMU may have a terminal, but the guest has it.

#include "client/helper/options.hpp"
#include "client/manager_proxy.hpp"
#include "common/error.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <system_error>

namespace {

using namespace qemutap;

// Before anything is asked for: nobody need get a tap that can't be handed over.
void require_caller(int socket)
{
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const int result = ::getpeername(socket, reinterpret_cast<sockaddr *>(&peer), &size);
    if (result == 0 && peer.ss_family == AF_UNIX)
        return;
    throw TapError{ErrorCode::invalid_argument,
                   "--fd=" + std::to_string(socket) + " is no connected Unix socket" +
                       (result == 0 ? std::string{} : std::string{": "} + std::strerror(errno)) +
                       "; QEMU gives one to the program that is its helper="};
}

// unix(7): a descriptor travels with at least one byte.
void send_descriptor(int socket, const UniqueFd &descriptor, const std::string &tap)
{
    char byte = 0;
    iovec content{&byte, sizeof byte};
    const int number = descriptor.get();
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof number)> control{};
    msghdr message{};
    message.msg_iov = &content;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    auto *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof number);
    std::memcpy(CMSG_DATA(rights), &number, sizeof number);
    while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            throw std::system_error{errno, std::generic_category(),
                                    "can't hand " + tap + " over to QEMU on --fd=" + std::to_string(socket)};
}

void hand_over(const HelperOptions &options)
{
    require_caller(options.socket);
    TapRequest request;
    request.label = options.label;
    const auto acquired = ManagerProxy{}.acquire(request);
    send_descriptor(options.socket, acquired.descriptors.front(), acquired.grant.taps.front().name);
}

} // namespace

int main(int argc, char **argv)
{
    try {
        if (const auto options = parse_helper_options(argc, argv))
            hand_over(*options);
        return EXIT_SUCCESS;
    } catch (const TapError &error) {
        std::fprintf(stderr, "qemu-tap-helper: %s\n", error.what());
        return exit_status(error.code());
    } catch (const std::exception &error) {
        std::fprintf(stderr, "qemu-tap-helper: %s\n", error.what());
        return exit_status(ErrorCode::failed);
    }
}
