// SPDX-License-Identifier: MIT
//
// The one table of outcomes.

#include "common/error.hpp"

#include <array>

namespace qemutap {

namespace {

struct Outcome {
    ErrorCode code;
    const char *bus_name;
    int exit_status;
};

constexpr std::array outcomes{
    Outcome{ErrorCode::failed, "org.qemutap1.Error.Failed", 1},
    Outcome{ErrorCode::invalid_argument, "org.qemutap1.Error.InvalidArgument", 2},
    Outcome{ErrorCode::service_unavailable, "org.qemutap1.Error.ServiceUnavailable", 3},
    Outcome{ErrorCode::not_authorized, "org.qemutap1.Error.NotAuthorized", 4},
    Outcome{ErrorCode::authority_unavailable, "org.qemutap1.Error.AuthorityUnavailable", 5},
    Outcome{ErrorCode::limit_exceeded, "org.qemutap1.Error.LimitExceeded", 6},
    Outcome{ErrorCode::pool_exhausted, "org.qemutap1.Error.PoolExhausted", 7},
    Outcome{ErrorCode::no_such_lease, "org.qemutap1.Error.NoSuchLease", 8},
    Outcome{ErrorCode::tun_unavailable, "org.qemutap1.Error.TunUnavailable", 9},
    Outcome{ErrorCode::vhost_unavailable, "org.qemutap1.Error.VhostUnavailable", 10},
    Outcome{ErrorCode::host_refused, "org.qemutap1.Error.HostRefused", 11},
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

} // namespace qemutap
