// SPDX-License-Identifier: MIT
//
// runqemu asks BitBake for the folder of the images, which takes seconds. This file looks only where the build
// environment puts images by default.

#include "client/launch/boot_settings.hpp"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

namespace qemutap {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view extension = ".qemuboot.conf";
constexpr std::size_t longest = 1'048'576; // bytes; a usual file has some kilobytes

bool is_settings_file(const fs::path &path)
{
    const auto name = path.filename().string();
    std::error_code error;
    return name.size() >= extension.size() && name.substr(name.size() - extension.size()) == extension &&
           fs::is_regular_file(path, error);
}

std::optional<fs::path> newest_in(const fs::path &directory)
{
    std::optional<std::pair<fs::file_time_type, fs::path>> newest;
    std::error_code unreadable;
    for (auto entry = fs::directory_iterator{directory, unreadable}; !unreadable && entry != fs::directory_iterator{};
         entry.increment(unreadable)) {
        std::error_code vanished;
        const auto time = fs::last_write_time(entry->path(), vanished);
        if (is_settings_file(entry->path()) && !vanished && (!newest || newest->first < time))
            newest = {time, entry->path()};
    }
    return newest ? std::optional{newest->second} : std::nullopt;
}

// The folders that may hold the images of a machine, in the order of the search.
std::vector<fs::path> deploy_directories(const std::string &machine)
{
    constexpr std::array<std::pair<const char *, const char *>, 3> places{{
        {"DEPLOY_DIR_IMAGE", ""},
        {"OE_TMPDIR", "deploy/images"},
        {"BUILDDIR", "tmp/deploy/images"},
    }};
    std::vector<fs::path> directories;
    for (const auto &[variable, below] : places)
        if (const char *value = std::getenv(variable); value && *value != '\0')
            directories.push_back(*below == '\0' ? fs::path{value} : fs::path{value} / below / machine);
    return directories;
}

std::optional<fs::path> settings_file(const std::vector<std::string> &arguments)
{
    std::error_code error;
    for (const auto &argument : arguments)
        if (is_settings_file(argument))
            return argument;
    for (const auto &argument : arguments)
        if (const fs::path path{argument}; fs::exists(path, error))
            if (auto found = newest_in(fs::is_directory(path, error) ? path : fs::absolute(path, error).parent_path()))
                return found;
    for (const auto &argument : arguments)
        if (argument.find_first_of("/=") == std::string::npos)
            for (const auto &directory : deploy_directories(argument))
                if (auto found = newest_in(directory))
                    return found;
    return std::nullopt;
}

} // namespace

std::optional<std::string> boot_settings(const std::vector<std::string> &arguments)
{
    const auto path = settings_file(arguments);
    if (!path)
        return std::nullopt;
    std::ifstream file{*path};
    std::string text(longest, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    return file.bad() || text.empty() ? std::nullopt : std::optional{text};
}

} // namespace qemutap
