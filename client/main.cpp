// SPDX-License-Identifier: MIT
//
// qemu-tapctl: reads the command line, performs the verb, and returns an exit status.

#include "client/verbs/command_line.hpp"
#include "common/error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

namespace {

// If the caller closed a standard descriptor, the next file that is opened would get its number, and the program would
// write its result into that file. So this opens a replacement for each closed descriptor. The replacement is
// read-only, so that writing a result still fails.
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
        const auto call = parse_command_line(argc, argv);
        return call ? call->carry_out() : 0;
    } catch (const TapError &error) {
        std::fprintf(stderr, "qemu-tapctl: %s\n", error.what());
        return exit_status(error.code());
    } catch (const std::exception &error) {
        std::fprintf(stderr, "qemu-tapctl: %s\n", error.what());
        return exit_status(ErrorCode::failed);
    }
}
