// SPDX-License-Identifier: MIT
//
// Checks that a tap is as promised before its name or its descriptors leave the daemon (I5).

#pragma once

#include "daemon/core/host_state.hpp"
#include "daemon/core/ports.hpp"
#include "daemon/core/tap_tag.hpp"
#include "plan/address_plan.hpp"

#include <string>

namespace qemutap {

struct PromisedTap {
    TapTag tag;
    PlannedTap plan;
};

// Describes the first property of the tap that is not as promised; empty: there is none.
std::string broken_promise(const HostState &state, const OpenTap &tap, const PromisedTap &promised);

// True if another process attached a queue to a multi-queue tap before the tap had its owner (I4).
bool has_intruder(const HostState &state, const OpenTap &tap);

} // namespace qemutap
