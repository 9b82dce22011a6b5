// SPDX-License-Identifier: MIT
//
// As env(1) and the shell have it: 127 for what is not found, 126 for what can't be executed.

#include "client/launch.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace qemutap {

namespace {

const char *command_complaint(const std::string &command, int status)
{
    if (status != exit_status_not_found)
        return "it is not executable";
    // As in a unit whose settings lack QEMU.
    if (!command.empty() && command.front() == '-')
        return "no such command; is the one that this is an option of missing?";
    if (command == "runqemu")
        return "no such command; is the build environment set up (. oe-init-build-env)?";
    return "no such command; is QEMU installed (qemu-system-x86)?";
}

} // namespace

int command_problem(const std::string &command)
{
    const auto status_of = [](const std::string &path) {
        struct stat status {};
        if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
            return exit_status_not_executable;
        if (::access(path.c_str(), X_OK) == 0)
            return 0;
        return errno == ENOENT || errno == ENOTDIR ? exit_status_not_found : exit_status_not_executable;
    };
    if (command.find('/') != std::string::npos)
        return status_of(command);
    const char *path = std::getenv("PATH");
    std::string directories = path ? path : "/bin:/usr/bin";
    int status = exit_status_not_found;
    for (std::size_t begin = 0; begin <= directories.size();) {
        const auto end = std::min(directories.find(':', begin), directories.size());
        const auto directory = end == begin ? "." : directories.substr(begin, end - begin);
        const auto found = status_of(std::string{directory}.append("/").append(command));
        if (found == 0)
            return 0;
        if (found == exit_status_not_executable)
            status = found;
        begin = end + 1;
    }
    return status;
}

int report_command(const std::string &command, int status)
{
    std::fprintf(stderr, "qemu-tapctl: can't start %s: %s\n", quote(command).c_str(),
                 command_complaint(command, status));
    return status;
}

int become(const std::vector<std::string> &words, const std::vector<UniqueFd> &descriptors)
{
    for (const auto &descriptor : descriptors)
        ::fcntl(descriptor.get(), F_SETFD, 0);
    std::vector<char *> arguments;
    arguments.reserve(words.size() + 1);
    for (const auto &word : words)
        arguments.push_back(const_cast<char *>(word.c_str()));
    arguments.push_back(nullptr);
    std::fflush(stderr);
    ::execvp(arguments.front(), arguments.data());
    return report_command(words.front(), errno == ENOENT ? exit_status_not_found : exit_status_not_executable);
}

} // namespace qemutap
