// SPDX-License-Identifier: MIT
//
// Looks at each call's arguments where they lie in the message, before sd-bus and sdbus-c++ copy them: a message can
// be 32 MiB long, and a dictionary of it in memory takes seventy times as much (I8).

#pragma once

#include "common/sdbus_compat.hpp"

namespace qemutap {

// As long as it exists, a call on this connection whose options are wrong, or with a text that is longer than any
// right one, is answered with the error and goes no further.
class CallCheck {
public:
    explicit CallCheck(sdbus::IConnection &connection);

private:
    sdbus::Slot filter_;
};

} // namespace qemutap
