// SPDX-License-Identifier: MIT
//
// Serial numbers of messages, by which an answer is told from all others (D-Bus Specification, "Header Fields",
// REPLY_SERIAL). sdbus-c++ has no way to read them and lets a derived class have sd-bus's message.

#pragma once

#include "common/sdbus_compat.hpp"

#include <systemd/sd-bus.h>

#include <cstdint>
#include <optional>

namespace qemutap {

struct Serials : sdbus::Message {
    // Of a message that has been sent.
    static std::optional<std::uint64_t> own(const sdbus::Message &message)
    {
        return read(message, sd_bus_message_get_cookie);
    }

    // Of the message that this one answers.
    static std::optional<std::uint64_t> answered(const sdbus::Message &message)
    {
        return read(message, sd_bus_message_get_reply_cookie);
    }

private:
    static std::optional<std::uint64_t> read(const sdbus::Message &message,
                                             int (*reader)(sd_bus_message *, std::uint64_t *))
    {
        std::uint64_t serial = 0;
        if (reader(static_cast<sd_bus_message *>(message.*(&Serials::msg_)), &serial) < 0)
            return std::nullopt;
        return serial;
    }
};

} // namespace qemutap
