// SPDX-License-Identifier: MIT
//
// sd-bus's message inside one of sdbus-c++'s, for what sdbus-c++ does not show: serial numbers, and the connection. Its
// messages let heirs see it.

#pragma once

#include "common/sdbus_compat.hpp"

#include <systemd/sd-bus.h>

namespace qemutap {

struct RawMessage : sdbus::Message {
    // Belongs to `message`.
    static sd_bus_message *of(const sdbus::Message &message)
    {
        return static_cast<sd_bus_message *>(message.*(&RawMessage::msg_));
    }
};

} // namespace qemutap
