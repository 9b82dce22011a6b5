// SPDX-License-Identifier: MIT
//
// Calls the daemon over the system bus, reads its answers strictly, and translates errors to TapError with advice on
// what to do.

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
    // Connects to the system bus. Throws TapError service_unavailable if there is none.
    ManagerProxy();
    ~ManagerProxy();

    // Lets polkit ask the user for a password in later calls, and extends the time limit of those calls to several
    // minutes.
    void let_polkit_ask();

    // Each call throws TapError with the daemon's code and text, or service_unavailable. acquire() also throws TapError
    // failed for an answer that it can't read, after it has released the lease.
    Acquired acquire(const TapRequest &request);
    void release(const std::string &lease);
    // Releases many leases at once, and the daemon ends them together. Tries every lease, then throws the first
    // refusal.
    void release_all(const std::vector<std::string> &leases);
    std::vector<LeaseGrant> list(bool all);

private:
    struct Bus;
    std::unique_ptr<Bus> bus_;
    bool interactive_ = false;
};

} // namespace qemutap
