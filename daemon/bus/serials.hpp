// SPDX-License-Identifier: MIT
//
// Serial numbers of messages, which tell one answer from all others (D-Bus Specification, "Header Fields",
// REPLY_SERIAL).

#pragma once

#include "daemon/bus/raw_message.hpp"

#include <cstdint>
#include <optional>

namespace qemutap {

using ReadSerial = int (*)(sd_bus_message *, std::uint64_t *);

inline std::optional<std::uint64_t> read_serial(const sdbus::Message &message, ReadSerial read)
{
    std::uint64_t serial = 0;
    if (read(RawMessage::of(message), &serial) < 0)
        return std::nullopt;
    return serial;
}

// Of a message that has been sent.
inline std::optional<std::uint64_t> own_serial(const sdbus::Message &message)
{
    return read_serial(message, sd_bus_message_get_cookie);
}

// Of the message that this one answers.
inline std::optional<std::uint64_t> answered_serial(const sdbus::Message &message)
{
    return read_serial(message, sd_bus_message_get_reply_cookie);
}

} // namespace qemutap
