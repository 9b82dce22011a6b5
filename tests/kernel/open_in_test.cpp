// SPDX-License-Identifier: MIT
//
// The two ways to open a name in a world-writable directory, on real file systems and mounts: they open and refuse the
// same names.

#include "daemon/host/open_in.hpp"

#include "tests/catch.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

using namespace qemutap;
namespace fs = std::filesystem;

namespace {

using Way = UniqueFd (*)(int, const std::string &, int, mode_t);

struct Place {
    fs::path top;
    UniqueFd directory;

    Place()
    {
        std::string name = fs::temp_directory_path() / "open_in.XXXXXX";
        REQUIRE(::mkdtemp(name.data()));
        top = name;
        directory = UniqueFd{::open(top.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
        REQUIRE(directory);
        std::ofstream{top / "file"} << "text";
        fs::create_symlink("file", top / "link");
        fs::create_directory(top / "folder");
        fs::create_directory(top / "mounted");
        std::ofstream{top / "covered"} << "below";
    }
    Place(const Place &) = delete;
    Place &operator=(const Place &) = delete;
    ~Place() { fs::remove_all(top); }
};

// 0 if the name can be opened, else the errno.
int outcome(Way way, const Place &place, const char *name, int flags)
{
    errno = 0;
    // openat2(2) refuses a mode without O_CREAT.
    const mode_t mode = (flags & O_CREAT) != 0 ? 0444 : 0;
    return way(place.directory.get(), name, flags, mode) ? 0 : errno;
}

std::string content(const UniqueFd &file)
{
    std::string text(16, '\0');
    const auto length = ::read(file.get(), text.data(), text.size());
    REQUIRE(length >= 0);
    text.resize(static_cast<std::size_t>(length));
    return text;
}

void check_way(Way way)
{
    const Place place;
    const auto file = way(place.directory.get(), "file", O_RDONLY, 0);
    REQUIRE(file);
    CHECK(content(file) == "text");
    CHECK((::fcntl(file.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(outcome(way, place, "link", O_RDONLY) == ELOOP);
    CHECK(outcome(way, place, "link", O_PATH) == 0);
    CHECK(outcome(way, place, "folder", O_PATH | O_DIRECTORY) == 0);
    CHECK(outcome(way, place, "none", O_RDONLY) == ENOENT);
    CHECK(outcome(way, place, "file", O_WRONLY | O_CREAT | O_EXCL) == EEXIST);
    CHECK(outcome(way, place, "new", O_WRONLY | O_CREAT | O_EXCL) == 0);
    CHECK(fs::is_regular_file(place.top / "new"));

    REQUIRE(::mount("tmpfs", (place.top / "mounted").c_str(), "tmpfs", 0, nullptr) == 0);
    REQUIRE(::mount((place.top / "file").c_str(), (place.top / "covered").c_str(), nullptr, MS_BIND, nullptr) == 0);
    CHECK(outcome(way, place, "mounted", O_PATH | O_DIRECTORY) == EXDEV);
    CHECK(outcome(way, place, "covered", O_RDONLY) == EXDEV);
    CHECK(outcome(way, place, "covered", O_PATH) == EXDEV);
    CHECK(outcome(way, place, "covered", O_WRONLY | O_CREAT | O_EXCL) == EXDEV);
    REQUIRE(::umount2((place.top / "covered").c_str(), MNT_DETACH) == 0);
    REQUIRE(::umount2((place.top / "mounted").c_str(), MNT_DETACH) == 0);
    CHECK(outcome(way, place, "covered", O_RDONLY) == 0);
}

} // namespace

TEST_CASE("open in: both ways open and refuse the same files, links and mounts")
{
    // Mounts that only this process sees.
    REQUIRE(::unshare(CLONE_NEWNS) == 0);
    REQUIRE(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    for (const auto way : {open_by_openat2, open_by_mount_number})
        check_way(way);
}
