// SPDX-License-Identifier: MIT
//
// A file belongs to the service if the service or root created it exactly as the service does: in one step, with a mode
// that no other program uses, and with the service's text. A maker that died may have left out the end of the text. The
// code checks an existing file through a descriptor that it opened without following a link and without waiting. A user
// may mount a file system whose program answers when it likes (FUSE) on the directory or on a file in it. openat2(2)
// refuses each mount below the parent directory before the kernel calls the file system. Between the check and the
// removal another file may take the name. Only a process that could have removed the file itself can do that, and in a
// sticky directory of root's no other user's process can.

#include "daemon/host/skip_files.hpp"

#include "daemon/host/open_in.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>

namespace qemutap {

namespace {

constexpr mode_t directory_mode = S_ISVTX | 0777;
constexpr mode_t file_mode = 0444;
constexpr std::string_view text = "A tap of qemu-tapd, not for runqemu: see qemu-tapctl(1), list.\n";
constexpr std::string_view suffix = ".skip";
constexpr std::size_t most_entries = 200'000; // read at a start; a directory with more entries is an attack

// True if runqemu takes the name for a tap, unless it has another prefix as an option.
bool is_runqemus(std::string_view name)
{
    return name.substr(0, 3) == "tap" && name.size() > 3 &&
           name.find_first_not_of("0123456789", 3) == std::string_view::npos;
}

// True for the names that this service may have marked. Their number is small enough to check all of them, whatever
// other users put into the directory.
bool may_be_of_ours(std::string_view name)
{
    constexpr std::size_t most_digits = 5; // an index has 16 bits
    return is_runqemus(name) && name.size() <= 3 + most_digits && (name[3] != '0' || name.size() == 4);
}

std::string file_of(const std::string &name)
{
    return name + std::string{suffix};
}

// Clears the umask while it exists: the service's umask would remove the rights that all users need.
class NoUmask {
public:
    NoUmask()
        : before_{::umask(0)}
    {}
    NoUmask(const NoUmask &) = delete;
    NoUmask &operator=(const NoUmask &) = delete;
    ~NoUmask() { ::umask(before_); }

private:
    mode_t before_;
};

struct DirectoryCloser {
    void operator()(DIR *directory) const { ::closedir(directory); }
};

template <typename Work>
void quietly(Work work) noexcept
{
    try {
        work();
    } catch (const std::exception &) {
        // Without memory one mark is missing.
    }
}

} // namespace

SkipFiles::SkipFiles(std::string directory, std::function<void(const std::string &)> warn, uid_t service,
                     const std::string &seen_at)
    : path_{seen_at.empty() ? directory : seen_at},
      shown_{std::move(directory)},
      warn_{std::move(warn)},
      service_{service}
{
    while (path_.size() > 1 && path_.back() == '/')
        path_.pop_back();
    const std::filesystem::path path{path_};
    parent_ = path.has_parent_path() ? path.parent_path().string() : ".";
    name_ = path.filename().string();
}

void SkipFiles::hand_over() noexcept
{
    quietly([&] {
        if (const auto directory = open_directory(true))
            remove_all_but(directory.get(), {});
    });
}

void SkipFiles::mark(const std::string &name) noexcept
{
    quietly([&] {
        if (!is_runqemus(name))
            return;
        if (const auto directory = open_directory(true))
            make(directory.get(), name);
    });
}

void SkipFiles::unmark(const std::string &name) noexcept
{
    quietly([&] {
        if (!is_runqemus(name))
            return;
        if (const auto directory = open_directory(false))
            remove(directory.get(), file_of(name));
    });
}

void SkipFiles::mark_only(const std::set<std::string> &names) noexcept
{
    quietly([&] {
        if (const auto directory = open_directory(false))
            remove_all_but(directory.get(), names);
    });
    for (const auto &name : names)
        mark(name);
}

void SkipFiles::remove_directory()
{
    struct stat status {};
    const auto directory = open_directory(false);
    if (!directory || ::fstat(directory.get(), &status) != 0 || !is_own(status.st_uid))
        return;
    if (::rmdir(path_.c_str()) != 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
        warn_once("can't remove " + shown_ + ": " + std::strerror(errno));
}

// Opens the directory again for each use: every program finds it by its path, and the directory at this path can be
// replaced.
UniqueFd SkipFiles::open_directory(bool make_it)
{
    constexpr int flags = O_PATH | O_DIRECTORY;
    const UniqueFd parent{::open(parent_.c_str(), flags | O_CLOEXEC)};
    UniqueFd directory;
    if (parent) {
        directory = open_in(parent.get(), name_, flags);
        if (!directory && errno == ENOENT && make_it) {
            const NoUmask all;
            if (::mkdirat(parent.get(), name_.c_str(), directory_mode) != 0 && errno != EEXIST) {
                warn_once("can't make " + shown_ + ": " + std::strerror(errno));
                return {};
            }
            directory = open_in(parent.get(), name_, flags);
        }
    }
    if (directory)
        return is_usable(directory.get()) ? std::move(directory) : UniqueFd{};
    if (errno != ENOENT)
        warn_once(why_not_opened(errno));
    return {};
}

std::string SkipFiles::why_not_opened(int error) const
{
    if (error == ENOTDIR || error == ELOOP)
        return shown_ + " is a link, or no directory; remove it";
    if (error == EXDEV)
        return "a file system is mounted on " + shown_ + ", whose program we might wait for; unmount it";
    if (error == ENOSYS)
        return "can't open " + shown_ + " without entering what users mount there: it takes openat2(2) or a /proc";
    return "can't open " + shown_ + ": " + std::strerror(error);
}

bool SkipFiles::is_usable(int directory)
{
    struct stat status {};
    if (::fstat(directory, &status) != 0) {
        warn_once("can't look at " + shown_ + ": " + std::strerror(errno));
        return false;
    }
    const bool all_may_write = (status.st_mode & S_IWOTH) != 0;
    if (is_own(status.st_uid) && !all_may_write) {
        // Users who run runqemu could not use this directory.
        warn_once(shown_ + " is not everybody's; make it so (chmod 1777) or remove it, and restart the service");
        return false;
    }
    if (!is_own(status.st_uid))
        warn_once(shown_ + " belongs to uid " + std::to_string(status.st_uid) +
                  ", who can remove our files there; make it root's (chown root, chmod 1777), or remove it");
    else if ((status.st_mode & S_ISVTX) == 0)
        warn_once(shown_ + " lets everybody remove our files; make it sticky (chmod 1777)");
    return true;
}

bool SkipFiles::is_ours(int directory, const std::string &file) const
{
    // With O_NONBLOCK the call waits neither for the other end of a fifo nor for the owner of a file lease (fcntl(2),
    // F_SETLEASE).
    const auto opened = open_in(directory, file, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    struct stat status {};
    if (!opened || ::fstat(opened.get(), &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    if (!is_own(status.st_uid) || status.st_nlink != 1 || (status.st_mode & 07777) != file_mode)
        return false;
    std::array<char, text.size() + 1> found{};
    const auto length = ::read(opened.get(), found.data(), found.size());
    return length >= 0 && text.substr(0, static_cast<std::size_t>(length)) ==
                              std::string_view{found.data(), static_cast<std::size_t>(length)};
}

void SkipFiles::make(int directory, const std::string &name)
{
    const NoUmask all;
    const auto file = file_of(name);
    const auto made = open_in(directory, file, O_WRONLY | O_CREAT | O_EXCL, file_mode);
    if (made) {
        // On a full disk the file has no text. It still exists, and is_ours() accepts it.
        [[maybe_unused]] const auto written = ::write(made.get(), text.data(), text.size());
        return;
    }
    if (errno == EXDEV) {
        warn_once("a file system is mounted on a file in " + shown_ + ", whose program we might wait for; unmount it");
        return;
    }
    if (errno != EEXIST) {
        warn_once("can't make files in " + shown_ + ": " + std::strerror(errno));
        return;
    }
    // runqemu obeys a file of any owner, except a symbolic link without a target.
    struct stat status {};
    const auto found = open_in(directory, file, O_PATH);
    if (found && ::fstat(found.get(), &status) == 0 && S_ISLNK(status.st_mode))
        warn_once("in " + shown_ + " uid " + std::to_string(status.st_uid) +
                  " has put links in the place of our files; remove them");
}

void SkipFiles::remove(int directory, const std::string &file)
{
    if (is_ours(directory, file) && ::unlinkat(directory, file.c_str(), 0) != 0 && errno != ENOENT)
        warn_once("can't remove files from " + shown_ + ": " + std::strerror(errno));
}

void SkipFiles::remove_all_but(int directory, const std::set<std::string> &names)
{
    UniqueFd listed{::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    const std::unique_ptr<DIR, DirectoryCloser> stream{listed ? ::fdopendir(listed.get()) : nullptr};
    if (!stream) {
        warn_once("can't list " + shown_ + ": " + std::strerror(errno));
        return;
    }
    listed.release();
    for (std::size_t read = 0; const auto *entry = ::readdir(stream.get()); ++read) {
        if (read == most_entries) {
            warn_once(shown_ + " has more than " + std::to_string(most_entries) + " files; remove it");
            return;
        }
        const std::string file{entry->d_name};
        if (file.size() <= suffix.size() || file.substr(file.size() - suffix.size()) != suffix)
            continue;
        const auto name = file.substr(0, file.size() - suffix.size());
        if (may_be_of_ours(name) && names.count(name) == 0)
            remove(directory, file);
    }
}

void SkipFiles::warn_once(const std::string &problem)
{
    if (told_.insert(problem).second)
        warn_("runqemu may take taps of ours: " + problem);
}

} // namespace qemutap
