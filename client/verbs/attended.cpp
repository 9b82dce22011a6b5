// SPDX-License-Identifier: MIT
//
// If a signal kills this program, the daemon sees the end of its bus connection and ends the lease.

#include "client/verbs/attended.hpp"

#include "client/launch/supervisor.hpp"
#include "common/error.hpp"

#include <cstdio>

namespace qemutap {

int run_attended(ManagerProxy &manager, const LeaseGrant &lease, const std::vector<std::string> &words)
{
    const int end = supervise(words);
    try {
        manager.release(lease.lease);
    } catch (const TapError &error) {
        // The verb `down` may have ended the lease before. If the release fails for another reason, the daemon ends the
        // lease when this program ends.
        if (error.code() != ErrorCode::no_such_lease)
            std::fprintf(stderr, "qemu-tapctl: can't end lease %s: %s\n", lease.lease.c_str(), error.what());
    }
    return end;
}

} // namespace qemutap
