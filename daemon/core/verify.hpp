// SPDX-License-Identifier: MIT
//
// Whether a tap is what was promised, before its name or its descriptors leave the daemon (I5).

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

// What the host shows otherwise than promised, in words; empty: nothing.
std::string broken_promise(const HostState &state, const OpenTap &tap, const PromisedTap &promised);

// Somebody attached a queue of their own to a multi-queue tap before it had an owner (I4).
bool has_intruder(const HostState &state, const OpenTap &tap);

} // namespace qemutap
