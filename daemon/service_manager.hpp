// SPDX-License-Identifier: MIT
//
// Notifies the service manager of the daemon's state by sd_notify(3). Without a service manager the functions do
// nothing.

#pragma once

namespace qemutap {

// True if a service manager or the bus started the daemon, and will start it again at the next call.
bool is_started_on_demand();

void notify_ready();
void notify_reloading(); // the state lasts until the next notify_ready()
void notify_stopping();

// Returns when the manager has read all notifications, or after some seconds without an answer.
void await_manager();

} // namespace qemutap
