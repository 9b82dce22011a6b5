// SPDX-License-Identifier: MIT
//
// What the verbs do. Results go to stdout, all else to stderr; each returns the exit status or throws
// TapError, and what it got is released if its result can't be told.

#pragma once

#include "client/options.hpp"

namespace qemutap {

int perform(const RunOptions &options); // held by descriptors it does not return if the command could be started
int perform(const RunqemuOptions &options);
int perform(const UpOptions &options);
int perform(const DownOptions &options);
int perform(const ListOptions &options);
int perform(const ArgsOptions &options);

} // namespace qemutap
