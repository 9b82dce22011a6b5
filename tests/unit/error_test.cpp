// SPDX-License-Identifier: MIT
//
// The table of outcomes is a contract with scripts (exit statuses) and with other clients (bus names), so this test
// repeats it in full.

#include "common/error.hpp"

#include "tests/catch.hpp"

#include <set>
#include <string>
#include <vector>

using namespace qemutap;

namespace {

struct Documented {
    ErrorCode code;
    int exit_status;
    std::string bus_name;
};

const std::vector<Documented> documented{
    {ErrorCode::failed, 1, "org.qemutap1.Error.Failed"},
    {ErrorCode::invalid_argument, 2, "org.qemutap1.Error.InvalidArgument"},
    {ErrorCode::not_authorized, 4, "org.qemutap1.Error.NotAuthorized"},
    {ErrorCode::authority_unavailable, 5, "org.qemutap1.Error.AuthorityUnavailable"},
    {ErrorCode::limit_exceeded, 6, "org.qemutap1.Error.LimitExceeded"},
    {ErrorCode::pool_exhausted, 7, "org.qemutap1.Error.PoolExhausted"},
    {ErrorCode::no_such_lease, 8, "org.qemutap1.Error.NoSuchLease"},
    {ErrorCode::tun_unavailable, 9, "org.qemutap1.Error.TunUnavailable"},
    {ErrorCode::vhost_unavailable, 10, "org.qemutap1.Error.VhostUnavailable"},
    {ErrorCode::host_refused, 11, "org.qemutap1.Error.HostRefused"},
};

} // namespace

TEST_CASE("error: every outcome of the daemon has its documented bus name, both ways")
{
    for (const auto &[code, status, name] : documented) {
        CAPTURE(name);
        CHECK(bus_error_name(code) == name);
        CHECK(error_code_of(name) == code);
    }
}

TEST_CASE("error: every outcome has its documented exit status")
{
    for (const auto &[code, status, name] : documented) {
        CAPTURE(name);
        CHECK(exit_status(code) == status);
    }
    CHECK(exit_status(ErrorCode::service_unavailable) == 3);
}

TEST_CASE("error: no two outcomes share an exit status or a bus name, and none has a status of success or of run")
{
    std::set<int> statuses{0, exit_status_not_executable, exit_status_not_found};
    std::set<std::string> names;
    for (const auto &outcome : documented) {
        statuses.insert(exit_status(outcome.code));
        names.insert(bus_error_name(outcome.code));
    }
    statuses.insert(exit_status(ErrorCode::service_unavailable));
    names.insert(bus_error_name(ErrorCode::service_unavailable));
    CHECK(statuses.size() == documented.size() + 4);
    CHECK(names.size() == documented.size() + 1);
}

TEST_CASE("error: a command that cannot be started has the shell's statuses")
{
    CHECK(exit_status_not_executable == 126);
    CHECK(exit_status_not_found == 127);
}

TEST_CASE("error: an unknown bus name is not an outcome")
{
    for (const auto *name :
         {"", "org.qemutap1.Error.", "org.qemutap1.Error", "Failed", "org.qemutap1.Error.failed",
          "org.qemutap1.Error.Failed ", "org.qemutap1.Error.Failed.More", "org.freedesktop.DBus.Error.Failed"}) {
        CAPTURE(name);
        CHECK(error_code_of(name) == std::nullopt);
    }
}

TEST_CASE("error: a TapError keeps its code and its text")
{
    const TapError error{ErrorCode::pool_exhausted, "no subnet is free in 192.168.0.0/16"};
    CHECK(error.code() == ErrorCode::pool_exhausted);
    CHECK(std::string{error.what()} == "no subnet is free in 192.168.0.0/16");
}
