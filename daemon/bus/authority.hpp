// SPDX-License-Identifier: MIT
//
// Asks polkit whether a caller may do something, without waiting for the answer: others are served meanwhile
// (org.freedesktop.PolicyKit1.Authority, CheckAuthorization).

#pragma once

#include "common/sdbus_compat.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace qemutap {

enum class Verdict {
    granted,
    refused,
    needs_password, // and nobody could be asked for it, or the request did not allow to ask
    unavailable,    // polkit did not answer
};

struct AuthorityAnswer {
    Verdict verdict = Verdict::refused;
    std::string reason; // of `unavailable`
};

// What a rule of polkit's finds by action.lookup().
using AuthorityDetails = std::map<std::string, std::string>;

class Authority {
public:
    explicit Authority(sdbus::IConnection &connection);

    // `then` is called once, and must not throw. `sender` is the caller's unique bus name, which the bus
    // vouches for. Does not throw: a call that can't be sent is an answer too, and so is none within `patience`.
    // Where that is over already polkit is not asked.
    void ask(const std::string &sender, const std::string &action, const AuthorityDetails &details, bool interactive,
             std::chrono::microseconds patience, const std::function<void(const AuthorityAnswer &)> &then);

private:
    void cancel(const std::string &cancellation) noexcept;

    std::unique_ptr<sdbus::IProxy> polkit_;
    std::uint64_t asked_ = 0;
};

} // namespace qemutap
