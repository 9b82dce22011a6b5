// SPDX-License-Identifier: MIT
//
// The .skip files that runqemu obeys, in a test directory as hostile as /tmp can be. The service's own files come and
// go, foreign ones stay unchanged, nothing blocks, and each problem is reported once.
#include "daemon/host/skip_files.hpp"

#include "tests/catch.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <set>
#include <string>
#include <vector>

using namespace qemutap;
namespace fs = std::filesystem;

namespace {

constexpr uid_t somebody = 64123;
constexpr mode_t everything = 07777;

struct stat status_of(const fs::path &path)
{
    struct stat status {};
    INFO(path);
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status;
}

void write(const fs::path &path, const std::string &text)
{
    std::ofstream{path} << text;
    REQUIRE(fs::exists(path));
}

std::string read(const fs::path &path)
{
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
}

// The test's own directory, which contains the lock directory.
struct Place {
    fs::path top;
    fs::path locks;
    std::vector<std::string> warnings;
    SkipFiles files;

    Place()
        : top{make_top()},
          locks{top / "locks"},
          files{locks, [this](const auto &line) { warnings.push_back(line); }}
    {}
    Place(const Place &) = delete;
    Place &operator=(const Place &) = delete;
    ~Place() { fs::remove_all(top); }

    static fs::path make_top()
    {
        auto pattern = (fs::temp_directory_path() / "skip-files-test-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()));
        return pattern;
    }

    void make_locks(mode_t mode = 01777, uid_t owner = 0)
    {
        fs::create_directory(locks);
        REQUIRE(::chown(locks.c_str(), owner, 0) == 0);
        REQUIRE(::chmod(locks.c_str(), mode) == 0);
    }

    std::set<std::string> names() const
    {
        std::set<std::string> found;
        for (const auto &entry : fs::directory_iterator{locks})
            found.insert(entry.path().filename());
        return found;
    }

    // All operations that a lease performs on its mark.
    void use(const std::string &name)
    {
        files.mark(name);
        files.unmark(name);
        files.mark_only({name});
        files.mark_only({});
    }

    // Expects exactly one warning, with these words, however often the problem occurred.
    void check_warned(const std::string &words)
    {
        CAPTURE(warnings, words);
        REQUIRE(warnings.size() == 1);
        CHECK(warnings[0].find("runqemu may take taps of ours: ") == 0);
        CHECK(warnings[0].find(words) != std::string::npos);
    }
};

using Names = std::set<std::string>;

} // namespace

TEST_CASE("skip files: a mark is a readable file of root's in a world-writable directory, under any umask")
{
    const auto before = ::umask(0077);
    Place place;
    place.files.mark("tap7");
    place.files.mark("tap7");
    place.files.mark("tap4000");
    CHECK(::umask(before) == 0077);
    CHECK((status_of(place.locks).st_mode & everything) == 01777);
    CHECK(place.names() == Names{"tap7.skip", "tap4000.skip"});
    const auto status = status_of(place.locks / "tap7.skip");
    CHECK(S_ISREG(status.st_mode));
    CHECK((status.st_mode & everything) == 0444);
    CHECK(status.st_uid == 0);
    CHECK(read(place.locks / "tap7.skip").find("qemu-tapd") != std::string::npos);
    place.files.unmark("tap7");
    place.files.unmark("tap7");
    CHECK(place.names() == Names{"tap4000.skip"});
    CHECK(place.warnings.empty());
}

TEST_CASE("skip files: names that runqemu does not use get no file, and no name leads out of the directory")
{
    Place place;
    for (const char *name : {"vmtap7", "tap", "tap7x", "Tap7", "rq0123t7", "tap7/../../tap8", "../tap7"})
        place.use(name);
    CHECK_FALSE(fs::exists(place.locks));
    CHECK(place.warnings.empty());
}

TEST_CASE("skip files: the directory is not made before a file is needed in it")
{
    Place place;
    place.files.unmark("tap7");
    place.files.mark_only({});
    CHECK_FALSE(fs::exists(place.locks));
    CHECK(place.warnings.empty());
}

TEST_CASE("skip files: a new service removes its stale and half-made files, and makes missing ones")
{
    Place place;
    for (const char *name : {"tap7", "tap8", "tap9"})
        place.files.mark(name);
    REQUIRE(::truncate((place.locks / "tap8.skip").c_str(), 0) == 0);
    REQUIRE(::truncate((place.locks / "tap9.skip").c_str(), 5) == 0);
    fs::remove(place.locks / "tap7.skip");
    write(place.locks / "tap7.lock", "");
    place.files.mark_only({"tap7", "tap10"});
    CHECK(place.names() == Names{"tap7.skip", "tap10.skip", "tap7.lock"});
}

TEST_CASE("skip files: at the end the directory is removed if it belongs to root and is empty")
{
    Place place;
    place.files.remove_directory();
    place.files.mark("tap7");
    place.files.remove_directory();
    CHECK(place.names() == Names{"tap7.skip"});
    place.files.unmark("tap7");
    write(place.locks / "tap7.lock", "");
    place.files.remove_directory();
    CHECK(place.names() == Names{"tap7.lock"});
    fs::remove(place.locks / "tap7.lock");
    place.files.remove_directory();
    CHECK_FALSE(fs::exists(place.locks));
    CHECK(place.warnings.empty());
    place.make_locks(01777, somebody);
    place.files.remove_directory();
    CHECK(fs::exists(place.locks));
}

TEST_CASE("skip files: a foreign file stays unchanged and counts as a mark")
{
    Place place;
    place.make_locks();
    const auto file = place.locks / "tap7.skip";
    const auto text = [] {
        Place other;
        other.files.mark("tap1");
        return read(other.locks / "tap1.skip");
    }();
    SECTION("an administrator's file, as runqemu's documentation suggests")
    {
        write(file, "");
    }
    SECTION("a file with another text")
    {
        write(file, "mine");
        fs::permissions(file, fs::perms{0444});
    }
    SECTION("a file with a longer text")
    {
        write(file, text + "!");
        fs::permissions(file, fs::perms{0444});
    }
    SECTION("another user's file with the service's text")
    {
        write(file, text);
        fs::permissions(file, fs::perms{0444});
        REQUIRE(::chown(file.c_str(), somebody, 0) == 0);
    }
    SECTION("a file with two names")
    {
        place.files.mark("tap7");
        fs::create_hard_link(file, place.top / "second");
    }
    SECTION("a directory")
    {
        fs::create_directory(file);
    }
    SECTION("a fifo without a writer")
    {
        REQUIRE(::mkfifo(file.c_str(), 0444) == 0);
    }
    const auto before = status_of(file);
    place.use("tap7");
    place.files.mark_only({"tap8"});
    const auto after = status_of(file);
    CHECK(after.st_ino == before.st_ino);
    CHECK(after.st_size == before.st_size);
    CHECK(after.st_mode == before.st_mode);
    CHECK(after.st_uid == before.st_uid);
    CHECK(place.names() == Names{"tap7.skip", "tap8.skip"});
    CHECK(place.warnings.empty());
}

TEST_CASE("skip files: the service does not wait for a file on which its owner has a file lease (fcntl(2))")
{
    Place place;
    place.files.mark("tap7");
    const UniqueFd leased{::open((place.locks / "tap7.skip").c_str(), O_WRONLY | O_CLOEXEC)};
    REQUIRE(::fcntl(leased.get(), F_SETLEASE, F_WRLCK) == 0);
    // Without this the kernel would notify the lease's holder by a signal that ends the test.
    REQUIRE(::fcntl(leased.get(), F_SETOWN, 0) == 0);
    place.files.unmark("tap7");
    CHECK(place.names() == Names{"tap7.skip"});
}

TEST_CASE("skip files: a link in the place of a file is not followed, and the warning names its owner")
{
    Place place;
    place.make_locks();
    const auto target = place.top / "target";
    const bool dangling = GENERATE(true, false);
    if (!dangling)
        write(target, "theirs");
    fs::create_symlink(target, place.locks / "tap7.skip");
    fs::create_symlink(target, place.locks / "tap8.skip");
    REQUIRE(::lchown((place.locks / "tap7.skip").c_str(), somebody, 0) == 0);
    REQUIRE(::lchown((place.locks / "tap8.skip").c_str(), somebody, 0) == 0);
    place.use("tap7");
    place.use("tap8");
    CHECK(fs::exists(target) == !dangling);
    if (!dangling)
        CHECK(read(target) == "theirs");
    CHECK(fs::is_symlink(place.locks / "tap7.skip"));
    place.check_warned("uid 64123 has put links");
}

TEST_CASE("skip files: anything else in the place of the directory is neither followed nor changed")
{
    Place place;
    const auto elsewhere = place.top / "elsewhere";
    fs::create_directory(elsewhere);
    REQUIRE(::chmod(elsewhere.c_str(), 01777) == 0);
    SECTION("a link to a directory")
    {
        fs::create_directory_symlink(elsewhere, place.locks);
    }
    SECTION("a link to nothing")
    {
        fs::create_symlink(place.top / "nothing", place.locks);
    }
    SECTION("a file")
    {
        write(place.locks, "theirs");
    }
    SECTION("a fifo")
    {
        REQUIRE(::mkfifo(place.locks.c_str(), 0666) == 0);
    }
    const auto before = status_of(place.locks);
    place.use("tap7");
    place.use("tap8");
    CHECK(status_of(place.locks).st_ino == before.st_ino);
    CHECK(fs::is_empty(elsewhere));
    CHECK_FALSE(fs::exists(place.top / "nothing"));
    place.check_warned(place.locks.string() + " is a link, or no directory; remove it");
}

TEST_CASE("skip files: a directory of root's that is not world-writable is left alone")
{
    Place place;
    place.make_locks(0755);
    place.use("tap7");
    place.files.mark("tap8");
    CHECK(fs::is_empty(place.locks));
    place.check_warned("is not everybody's");
}

TEST_CASE("skip files: a directory of another user, or one that is not sticky, is used with a warning")
{
    Place place;
    const bool foreign = GENERATE(true, false);
    place.make_locks(0777, foreign ? somebody : 0);
    place.files.mark("tap7");
    place.files.mark("tap8");
    CHECK(place.names() == Names{"tap7.skip", "tap8.skip"});
    place.files.mark_only({});
    CHECK(fs::is_empty(place.locks));
    place.check_warned(foreign ? "belongs to uid 64123" : "make it sticky");
}

TEST_CASE("skip files: a mount on the directory or on a file in it is refused with a warning")
{
    REQUIRE(::unshare(CLONE_NEWNS) == 0);
    REQUIRE(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    Place place;
    place.make_locks();
    SECTION("the directory")
    {
        REQUIRE(::mount("tmpfs", place.locks.c_str(), "tmpfs", 0, "mode=1777") == 0);
        place.use("tap7");
        place.use("tap8");
        CHECK(place.names().empty());
        place.files.remove_directory();
        REQUIRE(::umount2(place.locks.c_str(), MNT_DETACH) == 0);
        place.check_warned("a file system is mounted on " + place.locks.string());
    }
    SECTION("a file")
    {
        place.files.mark("tap7");
        write(place.top / "theirs", "theirs");
        REQUIRE(::mount((place.top / "theirs").c_str(), (place.locks / "tap7.skip").c_str(), nullptr, MS_BIND,
                        nullptr) == 0);
        place.use("tap7");
        place.use("tap8");
        CHECK(read(place.top / "theirs") == "theirs");
        REQUIRE(::umount2((place.locks / "tap7.skip").c_str(), MNT_DETACH) == 0);
        CHECK(place.names() == Names{"tap7.skip"});
        place.check_warned("a file system is mounted on a file in " + place.locks.string());
    }
}

TEST_CASE("I6 the end is the daemon's: a file system in the lock directory that never answers is not waited for")
{
    REQUIRE(::unshare(CLONE_NEWNS) == 0);
    REQUIRE(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    Place place;
    place.make_locks();
    place.files.mark("tap7");
    const bool on_file = GENERATE(false, true);
    const auto target = on_file ? place.locks / "tap7.skip" : place.locks;
    const auto device = (place.top / "fuse").string();
    REQUIRE(::mknod(device.c_str(), S_IFCHR | 0600, makedev(10, 229)) == 0);
    UniqueFd program{::open(device.c_str(), O_RDWR | O_CLOEXEC)};
    if (!program)
        program = UniqueFd{::open("/dev/fuse", O_RDWR | O_CLOEXEC)}; // if /tmp is mounted nodev
    INFO("this needs a kernel with FUSE (modprobe fuse)");
    REQUIRE(program);
    const auto options = "fd=" + std::to_string(program.get()) + ",rootmode=" + (on_file ? "100444" : "41777") +
                         ",user_id=0,group_id=0,allow_other";
    REQUIRE(::mount("never", target.c_str(), "fuse", 0, options.c_str()) == 0);
    auto work = std::async(std::launch::async, [&] {
        place.use("tap7");
        place.files.mark_only({"tap8"});
        place.files.remove_directory();
    });
    const bool waited = work.wait_for(std::chrono::seconds{20}) != std::future_status::ready;
    program = UniqueFd{}; // the file system's program is gone, so all that wait for it continue
    work.get();
    CHECK_FALSE(waited);
    REQUIRE(::umount2(target.c_str(), MNT_DETACH) == 0);
    place.check_warned("a file system is mounted on ");
}

TEST_CASE("skip files: a read-only disk and a full disk cause one warning of each kind")
{
    // Mounts that only this thread sees; other tests do not share them.
    REQUIRE(::unshare(CLONE_NEWNS) == 0);
    REQUIRE(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    Place place;
    REQUIRE(::mount("tmpfs", place.top.c_str(), "tmpfs", 0, "nr_inodes=3") == 0);
    place.files.mark("tap7");
    CHECK(place.names() == Names{"tap7.skip"});
    place.files.mark("tap8");
    place.files.mark("tap9");
    REQUIRE(::mount(nullptr, place.top.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
    place.files.mark("tap8");
    place.files.unmark("tap7");
    place.files.mark_only({});
    CHECK(place.names() == Names{"tap7.skip"});
    CAPTURE(place.warnings);
    REQUIRE(place.warnings.size() == 3);
    CHECK(place.warnings[0].find("can't make files in " + place.locks.string() + ": No space left") !=
          std::string::npos);
    CHECK(place.warnings[1].find("Read-only file system") != std::string::npos);
    CHECK(place.warnings[2].find("can't remove files from") != std::string::npos);
    REQUIRE(::umount2(place.top.c_str(), MNT_DETACH) == 0);
}

TEST_CASE("skip files: on a disk without room for the text the empty file is made, recognised and removed")
{
    REQUIRE(::unshare(CLONE_NEWNS) == 0);
    REQUIRE(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    Place place;
    REQUIRE(::mount("tmpfs", place.top.c_str(), "tmpfs", 0, "size=4k") == 0);
    write(place.top / "ballast", std::string(4096, 'x'));
    place.files.mark("tap7");
    CHECK(status_of(place.locks / "tap7.skip").st_size == 0);
    place.files.unmark("tap7");
    CHECK(fs::is_empty(place.locks));
    CHECK(place.warnings.empty());
    REQUIRE(::umount2(place.top.c_str(), MNT_DETACH) == 0);
}
