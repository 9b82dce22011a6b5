// SPDX-License-Identifier: MIT
//
// What a service manager is told of the daemon's state, by sd_notify(3); where there is none, nobody.

#pragma once

namespace qemutap {

// Whether a service manager or the bus started us and will do so again when we are called.
bool is_started_on_demand();

void notify_ready();
void notify_reloading(); // until the next notify_ready()
void notify_stopping();

// Returns when the manager has read what it was told, or does not for seconds.
void await_manager();

} // namespace qemutap
