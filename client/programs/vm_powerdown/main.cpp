// SPDX-License-Identifier: MIT
//
// qemu-vm-powerdown SOCKET: presses the power button of the guest whose QEMU listens for QMP on SOCKET, and ends when
// that QEMU has ended. It is ExecStop= of qemu-vm@.service. The unit, not this program, limits the time that a guest
// may take and handles a guest that does not react. Root becomes the owner of the socket's folder before it touches the
// socket, so a VM's user can't make root connect to another socket. The folder's owner is the VM's user. No file names
// that user, because a file could have changed since the VM started.

#include "client/launch/become_user.hpp"
#include "client/programs/vm_powerdown/powerdown_dialogue.hpp"
#include "common/error.hpp"
#include "common/quote.hpp"
#include "common/unique_fd.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace {

using namespace qemutap;
using Clock = std::chrono::steady_clock;

// Presses are repeated. A booting guest misses those that come before its driver is loaded; a guest that shuts down
// ignores further ones.
constexpr std::chrono::seconds between_presses{5};

void note(const std::string &text)
{
    std::fprintf(stderr, "qemu-vm-powerdown: %s\n", text.c_str());
}

[[noreturn]] void fail(const char *call, const std::string &path)
{
    throw std::system_error{errno, std::generic_category(), "QMP socket " + quote(path) + ": " + call};
}

// Becomes the owner of the socket's folder. The folder is in a folder of root's, so only root can replace it.
void become_owner_of_folder(const std::string &path)
{
    const auto folder = path.substr(0, path.rfind('/') + 1);
    const UniqueFd opened{::open(folder.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    struct stat status {};
    if (::geteuid() != 0 || !opened || ::fstat(opened.get(), &status) != 0 || status.st_uid == 0)
        return;
    const auto *owner = ::getpwuid(status.st_uid);
    if (!owner)
        throw TapError{ErrorCode::invalid_argument,
                       "the owner of " + quote(folder) + ", uid " + std::to_string(status.st_uid) + ", is no user"};
    become_user(find_user(owner->pw_name), EnvironmentRule::login);
}

// Connects to the socket. The result is empty if no process listens: QEMU has ended or has not yet started to listen.
UniqueFd connected(const std::string &path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        throw TapError{ErrorCode::invalid_argument, "this is no path of a socket: " + quote(path)};
    std::memcpy(address.sun_path, path.c_str(), path.size());
    UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!socket)
        fail("socket", path);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) == 0)
        return socket;
    if (errno != ENOENT && errno != ECONNREFUSED)
        fail("connect", path);
    return {};
}

// Sends the whole text. Returns false if QEMU has closed the connection.
bool say(const UniqueFd &socket, std::string_view text, const std::string &path)
{
    while (!text.empty()) {
        const auto sent = ::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
            return false;
        if (sent < 0 && errno != EINTR)
            fail("send", path);
        if (sent > 0)
            text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

// Waits for text from QEMU. Returns an empty text if QEMU has closed the connection.
std::string heard(const UniqueFd &socket, const std::string &path)
{
    std::array<char, 4096> buffer{};
    for (;;) {
        const auto got = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
        if (got >= 0)
            return {buffer.data(), static_cast<std::size_t>(got)};
        if (errno == ECONNRESET)
            return {};
        if (errno != EINTR)
            fail("recv", path);
    }
}

// True if QEMU sends text or closes the connection before `deadline`.
bool wait_until(const UniqueFd &socket, Clock::time_point deadline, const std::string &path)
{
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
        pollfd readable{socket.get(), POLLIN, 0};
        const int ready = ::poll(&readable, 1, std::max(0, static_cast<int>(left.count())));
        if (ready >= 0)
            return ready > 0;
        if (errno != EINTR)
            fail("poll", path);
    }
}

void power_down(const UniqueFd &socket, const std::string &path)
{
    PowerdownDialogue dialogue;
    auto next_press = Clock::now() + between_presses;
    bool noted = false;
    for (;;) {
        if (wait_until(socket, next_press, path)) {
            const auto text = heard(socket, path);
            if (text.empty() || !say(socket, dialogue.reply_to(text), path))
                return;
            continue;
        }
        next_press += between_presses;
        if (!dialogue.greeted() && !std::exchange(noted, true))
            note("QEMU serves another client on " + quote(path) + " and does not listen to this one");
        if (!say(socket, dialogue.once_more(), path))
            return;
    }
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2) {
        std::fprintf(stderr, "usage: qemu-vm-powerdown SOCKET\n");
        return exit_status(ErrorCode::invalid_argument);
    }
    try {
        const std::string path{argv[1]};
        become_owner_of_folder(path);
        if (const auto socket = connected(path))
            power_down(socket, path);
        else
            note("nobody listens on " + quote(path) + ": QEMU is gone, or is not there yet");
        return EXIT_SUCCESS;
    } catch (const TapError &error) {
        note(error.what());
        return exit_status(error.code());
    } catch (const std::exception &error) {
        note(error.what());
        return exit_status(ErrorCode::failed);
    }
}
