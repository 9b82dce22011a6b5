// SPDX-License-Identifier: MIT
//
// Answers that nobody got. dbus-daemon tells a sender, by an error, of a message whose receiver is gone, and deals with
// one connection's messages in their order (D-Bus Specification, "Message Bus Message Routing"): once it answers a call
// that was sent behind an answer, that answer was delivered, unless it said otherwise before. Asking whether a caller
// is there says less: it may leave between the question and the answer, or have its answer and be gone already.
// A bus that drops such messages silently (dbus-broker) tells of none.

#pragma once

#include "common/sdbus_compat.hpp"

#include <functional>
#include <list>
#include <memory>
#include <string>

namespace qemutap {

class Deliveries {
public:
    // The connection on which answers are given.
    explicit Deliveries(sdbus::IConnection &connection);

    // Call it right after the answer was sent to the caller of this unique name. `undelivered` is called, later, if the
    // bus had nobody to give it to; it must not throw. Does not throw either: where the bus can't be asked, the
    // answer counts as delivered.
    void watch(const std::string &receiver, std::function<void()> undelivered);

    // Whether it is open of any answer if it was delivered.
    bool is_waiting() const { return !open_.empty(); }

private:
    struct Open {
        std::string receiver;
        std::function<void()> undelivered;
    };
    void hear(const std::string &text);

    std::list<Open> open_; // in the order of their answers
    std::unique_ptr<sdbus::IProxy> bus_;
    sdbus::Slot errors_;
};

} // namespace qemutap
