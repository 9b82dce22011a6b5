// SPDX-License-Identifier: MIT
//
// One table gives each code its name on the bus, its exit status and its meaning.

#include "common/error.hpp"

#include <array>

namespace qemutap {

namespace {

struct Outcome {
    ErrorCode code;
    const char *bus_name;
    int exit_status;
    const char *meaning; // of the exit status, for --help and the manual page
};

constexpr std::array outcomes{
    Outcome{ErrorCode::failed, "org.qemutap1.Error.Failed", 1, "unexpected failure"},
    Outcome{ErrorCode::invalid_argument, "org.qemutap1.Error.InvalidArgument", 2, "invalid argument"},
    Outcome{ErrorCode::service_unavailable, "org.qemutap1.Error.ServiceUnavailable", 3, "the service can't be reached"},
    Outcome{ErrorCode::not_authorized, "org.qemutap1.Error.NotAuthorized", 4, "not authorised"},
    Outcome{ErrorCode::authority_unavailable, "org.qemutap1.Error.AuthorityUnavailable", 5, "polkit can't be asked"},
    Outcome{ErrorCode::limit_exceeded, "org.qemutap1.Error.LimitExceeded", 6, "a limit is exceeded"},
    Outcome{ErrorCode::pool_exhausted, "org.qemutap1.Error.PoolExhausted", 7, "the pool is exhausted"},
    Outcome{ErrorCode::no_such_lease, "org.qemutap1.Error.NoSuchLease", 8, "the caller has no such lease"},
    Outcome{ErrorCode::tun_unavailable, "org.qemutap1.Error.TunUnavailable", 9, "the service can't open /dev/net/tun"},
    Outcome{ErrorCode::vhost_unavailable, "org.qemutap1.Error.VhostUnavailable", 10,
            "the service can't open /dev/vhost-net"},
    Outcome{ErrorCode::host_refused, "org.qemutap1.Error.HostRefused", 11, "the kernel refused a step"},
};

const Outcome &outcome_of(ErrorCode code)
{
    for (const auto &outcome : outcomes)
        if (outcome.code == code)
            return outcome;
    return outcomes.front();
}

} // namespace

const char *bus_error_name(ErrorCode code)
{
    return outcome_of(code).bus_name;
}

std::optional<ErrorCode> error_code_of(std::string_view bus_error_name)
{
    for (const auto &outcome : outcomes)
        if (outcome.bus_name == bus_error_name)
            return outcome.code;
    return std::nullopt;
}

int exit_status(ErrorCode code)
{
    return outcome_of(code).exit_status;
}

std::vector<std::pair<int, std::string>> exit_status_meanings()
{
    std::vector<std::pair<int, std::string>> meanings;
    meanings.reserve(outcomes.size());
    for (const auto &outcome : outcomes)
        meanings.emplace_back(outcome.exit_status, outcome.meaning);
    return meanings;
}

} // namespace qemutap
