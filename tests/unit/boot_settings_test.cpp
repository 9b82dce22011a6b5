// SPDX-License-Identifier: MIT
//
// The .qemuboot.conf that runqemu's arguments lead to.

#include "client/launch/boot_settings.hpp"

#include "tests/catch.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

using namespace qemutap;
namespace fs = std::filesystem;

namespace {

// A test directory without a build environment around it.
class Images {
public:
    Images()
    {
        std::string name = (fs::temp_directory_path() / "boot-settings-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
        for (const char *variable : {"DEPLOY_DIR_IMAGE", "OE_TMPDIR", "BUILDDIR"})
            ::unsetenv(variable);
    }
    Images(const Images &) = delete;
    Images &operator=(const Images &) = delete;
    ~Images() { fs::remove_all(path_); }

    // Adds a file that contains its own name and is this many seconds old.
    std::string add(const std::string &name, int age = 0) const
    {
        const auto path = path_ / name;
        fs::create_directories(path.parent_path());
        std::ofstream{path} << name;
        fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::seconds{age});
        return path.string();
    }

    std::string path(const std::string &name = {}) const { return (path_ / name).string(); }

private:
    fs::path path_;
};

} // namespace

TEST_CASE("boot settings: the file that the arguments name, or the newest one beside it or in its directory")
{
    const Images images;
    const auto named = images.add("a/old.qemuboot.conf", 60);
    images.add("a/new.qemuboot.conf");
    const auto image = images.add("a/image.ext4");
    CHECK(boot_settings({"nographic", named, image}) == "a/old.qemuboot.conf");
    CHECK(boot_settings({"nographic", image}) == "a/new.qemuboot.conf");
    CHECK(boot_settings({images.path("a")}) == "a/new.qemuboot.conf");
    for (const auto &nothing : {images.path("a/none.qemuboot.conf"), images.path("b"), images.path(), std::string{}})
        CHECK_FALSE(boot_settings({nothing}));
    CHECK_FALSE(boot_settings({}));
}

TEST_CASE("boot settings: a machine's name leads to the directories of the build environment")
{
    const Images images;
    images.add("build/tmp/deploy/images/qemuarm64/image.qemuboot.conf");
    CHECK_FALSE(boot_settings({"qemuarm64", "nographic"}));
    ::setenv("BUILDDIR", images.path("build").c_str(), 1);
    CHECK(boot_settings({"nographic", "qemuarm64"}) == "build/tmp/deploy/images/qemuarm64/image.qemuboot.conf");
    CHECK_FALSE(boot_settings({"qemux86-64", "bootparams=quiet"}));
    images.add("elsewhere/deploy/images/qemuarm64/image.qemuboot.conf");
    ::setenv("OE_TMPDIR", images.path("elsewhere").c_str(), 1);
    CHECK(boot_settings({"qemuarm64"}) == "elsewhere/deploy/images/qemuarm64/image.qemuboot.conf");
    images.add("deploy/image.qemuboot.conf");
    ::setenv("DEPLOY_DIR_IMAGE", images.path("deploy").c_str(), 1);
    CHECK(boot_settings({"core-image-minimal"}) == "deploy/image.qemuboot.conf");
    for (const char *variable : {"DEPLOY_DIR_IMAGE", "OE_TMPDIR", "BUILDDIR"})
        ::unsetenv(variable);
}

TEST_CASE("boot settings: a directory or an empty file of that name gives no settings")
{
    const Images images;
    fs::create_directories(images.path("image.qemuboot.conf"));
    CHECK_FALSE(boot_settings({images.path("image.qemuboot.conf")}));
    std::ofstream{images.path("empty.qemuboot.conf")};
    CHECK_FALSE(boot_settings({images.path("empty.qemuboot.conf")}));
}
