// SPDX-License-Identifier: MIT
//
// Answers that no caller got. dbus-daemon reports an undeliverable message to its sender by an error, and deals with
// one connection's messages in their order (D-Bus Specification, "Message Bus Message Routing"): once it answers a call
// that was sent right after an answer, that answer was delivered, unless an error came before. Asking beforehand
// whether a caller is there says less: it may leave between the question and the answer, or have its answer and be
// gone already.
// The error says which answer it means by that answer's serial number, and no more is taken from it: its text quotes
// what other users write. It is a hint. The lease of a caller that is still on the bus stays, although its queue was
// full and the answer is lost.
// A bus that drops such messages silently (dbus-broker) reports none.

#pragma once

#include "common/sdbus_compat.hpp"

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

namespace qemutap {

class Deliveries {
public:
    // The connection on which answers are given.
    explicit Deliveries(sdbus::IConnection &connection);

    // Call it right after the answer was sent to the caller of this unique name, before any other message is sent.
    // `undelivered` is called, later, if the bus did not deliver the answer and the caller is gone; it must not throw.
    // Does not throw either: where the bus can't be asked, the answer counts as delivered.
    void watch(const std::string &receiver, std::function<void()> undelivered);

    // True while the delivery of any answer is unconfirmed.
    bool is_waiting() const { return !open_.empty(); }

private:
    struct Open {
        std::string receiver;
        std::function<void()> undelivered;
        std::uint64_t serial = 0;
        bool doubted = false; // the bus is asked whether the receiver is there
    };
    using Place = std::list<Open>::iterator;

    void hear_error(const sdbus::Message &error);
    void end_if_gone(Place open);

    std::list<Open> open_;
    std::unique_ptr<sdbus::IProxy> bus_;
    sdbus::Slot errors_;
};

} // namespace qemutap
