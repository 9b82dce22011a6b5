// SPDX-License-Identifier: MIT
//
// What a user's programs find in their environment after root has become the user. That root really does is for the
// bus ring to see.

#include "client/become_user.hpp"

#include "common/error.hpp"
#include "tests/catch.hpp"
#include "tests/unit/outcome.hpp"

#include <unistd.h>

#include <map>
#include <string>

using namespace qemutap;

namespace {

std::map<std::string, std::string> environment_of(const User &user)
{
    std::map<std::string, std::string> environment;
    for (const auto &[name, value] : login_environment(user))
        environment.emplace(name, value);
    return environment;
}

} // namespace

TEST_CASE("become user: the environment has the user's home, name and shell, and nothing else is set")
{
    const std::map<std::string, std::string> expected{
        {"HOME", "/home/vm"}, {"USER", "vm"}, {"LOGNAME", "vm"}, {"SHELL", "/usr/sbin/nologin"}};
    CHECK(environment_of({"vm", 990, 990, "/home/vm", "/usr/sbin/nologin"}) == expected);
}

TEST_CASE("become user: a user without a shell has sh(1), as passwd(5) says")
{
    CHECK(environment_of({"vm", 990, 990, "/", ""}).at("SHELL") == "/bin/sh");
}

TEST_CASE("become user: a name that nobody has, or a caller that is not root, is an invalid argument")
{
    for (const std::string name : {"", "no such user", "-1", "99999", "nobody\nelse"}) {
        CAPTURE(name);
        const auto error = tap_error_of([&] { become_user(name); });
        CHECK(error.code() == ErrorCode::invalid_argument);
        CHECK(contains(error.what(), ::geteuid() == 0 ? "there is no user" : "only root"));
    }
}
