// SPDX-License-Identifier: MIT
//
// The daemon, as seen from the client: calls over the system bus, answers read strictly, errors translated to
// TapError with what to do about them.

#pragma once

#include "common/unique_fd.hpp"
#include "contract/descriptors.hpp"
#include "contract/grant.hpp"
#include "contract/request.hpp"

#include <memory>
#include <string>
#include <vector>

namespace qemutap {

class ManagerProxy {
public:
    // Throws TapError service_unavailable where there is no system bus.
    ManagerProxy();
    ~ManagerProxy();

    // From now on polkit may ask the user for a password, and has minutes to get it.
    void let_polkit_ask();

    // Each throws TapError with the daemon's code and text, or service_unavailable.
    Acquired acquire(const TapRequest &request);
    void release(const std::string &lease);
    // Many at once, which the daemon ends together; all are tried, and what is thrown is the first refusal.
    void release_all(const std::vector<std::string> &leases);
    std::vector<LeaseGrant> list(bool all);

private:
    struct Bus;
    std::unique_ptr<Bus> bus_;
    bool interactive_ = false;
};

} // namespace qemutap
