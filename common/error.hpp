// SPDX-License-Identifier: MIT
//
// The outcomes that a caller must tell apart. One table joins the code, its name on the bus and the exit
// status of the client; the text beside a code says what was tried, on what, and why it failed.
// Everything else that goes wrong is a std::system_error or another exception to pass on.

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
    service_unavailable, // the client's own: the daemon could not be reached
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

// Of `run`, when the command can't be started: as env(1) and the shell have it.
inline constexpr int exit_status_not_executable = 126;
inline constexpr int exit_status_not_found = 127;

} // namespace qemutap
