// SPDX-License-Identifier: MIT
//
// The exit statuses follow env(1) and the shell: 127 for a command that is not found, 126 for one that can't be
// executed.

#include "client/launch/launch.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace qemutap {

namespace {

const char *command_complaint(const std::string &command, int status)
{
    if (status != exit_status_not_found)
        return "it is not executable";
    // A unit that expands an empty variable as QEMU's path leaves an option as the first word.
    if (!command.empty() && command.front() == '-')
        return "no such command; is the one that this is an option of missing?";
    if (command == "runqemu")
        return "no such command; is the build environment set up (. oe-init-build-env)?";
    return "no such command; is QEMU installed (qemu-system-x86)?";
}

} // namespace

namespace {

// The paths that execvp(3) tries, in its order.
std::vector<std::string> places_of(const std::string &command)
{
    if (command.find('/') != std::string::npos)
        return {command};
    const char *path = std::getenv("PATH");
    const std::string directories = path ? path : "/bin:/usr/bin";
    std::vector<std::string> places;
    for (std::size_t begin = 0; begin <= directories.size();) {
        const auto end = std::min(directories.find(':', begin), directories.size());
        const auto directory = end == begin ? "." : directories.substr(begin, end - begin);
        places.push_back(std::string{directory}.append("/").append(command));
        begin = end + 1;
    }
    return places;
}

int problem_of(const std::string &path)
{
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
        return exit_status_not_executable;
    if (::access(path.c_str(), X_OK) == 0)
        return 0;
    return errno == ENOENT || errno == ENOTDIR ? exit_status_not_found : exit_status_not_executable;
}

// Opens regular files only: opening a device can have an effect, such as rewinding a tape.
bool is_script(const std::string &path)
{
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    const UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    std::array<char, 2> beginning{};
    return file && ::read(file.get(), beginning.data(), beginning.size()) == 2 && beginning == std::array{'#', '!'};
}

constexpr std::size_t longest_script = 1'048'576; // runqemu has some 75 kB

// The path that execvp(3) would execute, if it is a script.
std::optional<std::string> started_script(const std::string &command)
{
    const auto places = places_of(command);
    const auto started = std::ranges::find_if(places, [](const std::string &place) { return problem_of(place) == 0; });
    return started != places.end() && is_script(*started) ? std::optional{*started} : std::nullopt;
}

} // namespace

int command_problem(const std::string &command)
{
    int problem = exit_status_not_found;
    for (const auto &place : places_of(command)) {
        const int found = problem_of(place);
        if (found == 0)
            return 0;
        if (found == exit_status_not_executable)
            problem = found;
    }
    return problem;
}

bool has_script_file(const std::vector<std::string> &command)
{
    return started_script(command.front()) || std::any_of(command.begin() + 1, command.end(), is_script);
}

std::optional<std::string> script_text(const std::string &command)
{
    const auto path = started_script(command);
    if (!path)
        return std::nullopt;
    std::ifstream file{*path};
    std::string text(longest_script + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    return file.bad() || text.empty() || text.size() > longest_script ? std::nullopt : std::optional{text};
}

int report_command(const std::string &command, int status)
{
    return report_command(command, status, command_complaint(command, status));
}

int report_command(const std::string &command, int status, const std::string &reason)
{
    std::fprintf(stderr, "qemu-tapctl: can't start %s: %s\n", quote(command).c_str(), reason.c_str());
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
