// SPDX-License-Identifier: MIT
//
// qemu-tap-helper --use-vnet --fd=N --br=LABEL: QEMU (`helper=`) and libvirt execute it to get a tap. It acquires a
// lease of one tap as the calling user and sends the tap's descriptor to QEMU. From then on QEMU owns the tap, and the
// tap ends with QEMU. After exit status 0 QEMU takes whatever it finds in the socket, so status 0 always means that the
// descriptor has been sent. polkit never asks for a password here: QEMU may have a terminal, but the guest uses it.

#include "client/bus/manager_proxy.hpp"
#include "client/programs/tap_helper/options.hpp"
#include "common/descriptor_passing.hpp"
#include "common/error.hpp"
#include "common/unique_fd.hpp"
#include "contract/request.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <span>
#include <string>
#include <system_error>

namespace {

using namespace qemutap;

// Checks the socket before the lease is acquired, so that no tap is made that can't be sent.
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

void send_tap(int socket, std::span<const UniqueFd> descriptor, const std::string &tap)
{
    try {
        send_descriptors(socket, descriptor);
    } catch (const std::system_error &error) {
        throw std::system_error{error.code(), "can't hand " + tap + " over to QEMU on --fd=" + std::to_string(socket)};
    }
}

void hand_over(const HelperOptions &options)
{
    require_caller(options.socket);
    TapRequest request;
    request.label = options.label;
    const auto acquired = ManagerProxy{}.acquire(request);
    send_tap(options.socket, acquired.descriptors, acquired.grant.taps.front().name);
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
