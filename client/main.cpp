// SPDX-License-Identifier: MIT
//
// qemu-tapctl: options, a verb, an exit status.

#include "client/commands.hpp"
#include "client/options.hpp"
#include "common/error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <variant>

namespace {

// Where one of the three was closed, the next descriptor that is opened would take its place, and a result be
// written into it. Read-only: writing a result is then an error, as it was.
void fill_standard_descriptors()
{
    int fd = 0;
    do {
        fd = ::open("/dev/null", O_RDONLY);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        ::close(fd);
}

} // namespace

int main(int argc, char **argv)
{
    using namespace qemutap;
    fill_standard_descriptors();
    try {
        const auto options = parse_client_options(argc, argv);
        return options ? std::visit([](const auto &verb) { return perform(verb); }, *options) : 0;
    } catch (const TapError &error) {
        std::fprintf(stderr, "qemu-tapctl: %s\n", error.what());
        return exit_status(error.code());
    } catch (const std::exception &error) {
        std::fprintf(stderr, "qemu-tapctl: %s\n", error.what());
        return exit_status(ErrorCode::failed);
    }
}
