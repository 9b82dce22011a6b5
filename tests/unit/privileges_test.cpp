// SPDX-License-Identifier: MIT
//
// The choice between the service's user and root, case by case.

#include "daemon/privileges.hpp"

#include "common/error.hpp"
#include "tests/catch.hpp"
#include "tests/unit/outcome.hpp"

namespace qemutap {

namespace {

constexpr const char *tun = "/dev/net/tun";
const ServiceUser by_default;
const ServiceUser demanded{.name = "vmnet", .demanded = true};
constexpr RootFacts all_well{
    .root = true, .may_change = true, .account_known = true, .tun_as_root = true, .tun_as_user = true};

RootFacts with(bool RootFacts::*fact, bool value)
{
    auto facts = all_well;
    facts.*fact = value;
    return facts;
}

} // namespace

TEST_CASE("privileges: root is given up silently if the user can make taps")
{
    for (const auto &user : {by_default, demanded}) {
        const auto choice = choose_root(user, all_well, tun);
        CHECK(choice.give_up);
        CHECK(choice.warning.empty());
    }
}

TEST_CASE("privileges: the service does not stay root for a /dev/net/tun that even root cannot open")
{
    auto facts = with(&RootFacts::tun_as_root, false);
    facts.tun_as_user = false;
    CHECK(choose_root(by_default, facts, tun).give_up);
    CHECK(choose_root(demanded, facts, tun).give_up);
}

TEST_CASE("privileges: a process that is not root gives up nothing")
{
    const auto choice = choose_root(demanded, with(&RootFacts::root, false), tun);
    CHECK_FALSE(choice.give_up);
    CHECK(choice.warning.empty());
}

TEST_CASE("privileges: by default the service stays root if the user cannot make taps, and says why and the remedy")
{
    const auto warning = [](bool RootFacts::*lacking) {
        const auto choice = choose_root(by_default, with(lacking, false), tun);
        CHECK_FALSE(choice.give_up);
        return choice.warning;
    };
    CHECK(warning(&RootFacts::account_known) ==
          "stays root: there is no user \"qemu-tapd\"; `systemd-sysusers` makes it, or `useradd --system qemu-tapd`");
    CHECK(warning(&RootFacts::may_change) ==
          "stays root: it lacks CAP_SETUID and CAP_SETGID to become the user \"qemu-tapd\"");
    CHECK(
        warning(&RootFacts::tun_as_user) ==
        "stays root: the user \"qemu-tapd\" may not open /dev/net/tun, and root may; `chmod 666 /dev/net/tun` lets it, "
        "as udev does on a host of its own");
}

TEST_CASE("privileges: if the user that the administrator named cannot make taps the service does not run")
{
    const auto refused = [](bool RootFacts::*lacking) {
        return tap_error_of([&] { choose_root(demanded, with(lacking, false), tun); }).code();
    };
    CHECK(refused(&RootFacts::account_known) == ErrorCode::invalid_argument);
    CHECK(refused(&RootFacts::may_change) == ErrorCode::host_refused);
    CHECK(refused(&RootFacts::tun_as_user) == ErrorCode::tun_unavailable);
}

TEST_CASE("privileges: the administrator can name root, and a warning says so each time")
{
    const auto choice = choose_root({.name = "root", .demanded = true}, all_well, tun);
    CHECK_FALSE(choice.give_up);
    CHECK(choice.warning == "runs as root, as the setting user says");
}

} // namespace qemutap
