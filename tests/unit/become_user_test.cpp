// SPDX-License-Identifier: MIT
//
// The environment of a user's program after root has become the user. The bus ring tests that root really does.

#include "client/launch/become_user.hpp"

#include "common/error.hpp"
#include "tests/catch.hpp"
#include "tests/unit/outcome.hpp"

#include <unistd.h>

#include <string>

using namespace qemutap;

namespace {

const User vm{.name = "vm", .uid = 990, .gid = 990, .home = "/home/vm", .shell = "/usr/sbin/nologin"};
const Environment of_root{{"HOME", "/root"},      {"USER", "root"},          {"PATH", "/root/bin:/usr/bin"},
                          {"TERM", "xterm"},      {"COLORTERM", "yes"},      {"NO_COLOR", "1"},
                          {"LANG", "C.UTF-8"},    {"DISPLAY", ":0"},         {"XDG_RUNTIME_DIR", "/run/user/0"},
                          {"AWS_SECRET", "root"}, {"LD_PRELOAD", "/root/x"}, {"LISTEN_FDS", "1"},
                          {"LISTEN_PID", "1"},    {"LISTEN_FDNAMES", "x"}};

} // namespace

TEST_CASE("become user: the user's program inherits only the variables that describe root's terminal")
{
    const Environment expected{{"HOME", "/home/vm"},
                               {"USER", "vm"},
                               {"LOGNAME", "vm"},
                               {"SHELL", "/usr/sbin/nologin"},
                               {"PATH", "/usr/local/bin:/usr/bin:/bin"},
                               {"TERM", "xterm"},
                               {"COLORTERM", "yes"},
                               {"NO_COLOR", "1"}};
    CHECK(environment_for(vm, of_root, EnvironmentRule::login) == expected);
}

TEST_CASE("become user: without a terminal in the environment none is added")
{
    CHECK(environment_for(vm, {}, EnvironmentRule::login).count("TERM") == 0);
}

TEST_CASE("become user: root's own programs have root's PATH")
{
    const User root{.name = "root", .uid = 0, .gid = 0, .home = "/root", .shell = "/bin/sh"};
    CHECK(environment_for(root, of_root, EnvironmentRule::login).at("PATH") ==
          "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
}

TEST_CASE("become user: a kept environment becomes the user's, without the variables of closed descriptors")
{
    auto expected = of_root;
    for (const char *name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"})
        expected.erase(name);
    expected["HOME"] = "/home/vm";
    expected["USER"] = expected["LOGNAME"] = "vm";
    expected["SHELL"] = "/usr/sbin/nologin";
    CHECK(environment_for(vm, of_root, EnvironmentRule::kept) == expected);
}

TEST_CASE("become user: a user without a shell has sh(1), as passwd(5) says")
{
    auto user = vm;
    user.shell.clear();
    CHECK(environment_for(user, {}, EnvironmentRule::login).at("SHELL") == "/bin/sh");
}

TEST_CASE("become user: an unknown user name, or a caller that is not root, is an invalid argument")
{
    for (const std::string name : {"", "no such user", "-1", "99999", "nobody\nelse"}) {
        CAPTURE(name);
        const auto error = tap_error_of([&] { find_user(name); });
        CHECK(error.code() == ErrorCode::invalid_argument);
        CHECK(contains(error.what(), ::geteuid() == 0 ? "there is no user" : "only root"));
    }
}
