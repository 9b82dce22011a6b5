// SPDX-License-Identifier: MIT
//
// The outcomes that a caller must be able to distinguish. Each outcome has a code, a name on the bus and an exit status
// of the client. The text of a TapError says what was tried, on what, and why it failed. All other failures are a
// std::system_error or another exception to pass on.

#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace qemutap {

enum class ErrorCode {
    failed,
    invalid_argument,
    service_unavailable, // only the client throws it: it can't reach the daemon
    not_authorized,
    authority_unavailable,
    limit_exceeded,
    pool_exhausted,
    no_such_lease,
    tun_unavailable,
    vhost_unavailable,
    host_refused,
};

class TapError : public std::runtime_error {
public:
    TapError(ErrorCode code, const std::string &text)
        : std::runtime_error{text},
          code_{code}
    {}

    ErrorCode code() const noexcept { return code_; }

private:
    ErrorCode code_;
};

// The D-Bus error name, a constant with the prefix "org.qemutap1.Error.".
const char *bus_error_name(ErrorCode code);
std::optional<ErrorCode> error_code_of(std::string_view bus_error_name);

// The exit status of qemu-tapctl: distinct for each code, never 0.
int exit_status(ErrorCode code);

// Each exit status of an error with its meaning in a few words, in the order of the statuses.
std::vector<std::pair<int, std::string>> exit_status_meanings();

// Exit statuses of `run` and `runqemu` if the command can't be started. env(1) and the shell use the same.
inline constexpr int exit_status_not_executable = 126;
inline constexpr int exit_status_not_found = 127;

} // namespace qemutap
