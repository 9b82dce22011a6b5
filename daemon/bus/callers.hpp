// SPDX-License-Identifier: MIT
//
// Who calls, in the bus's own words (I7). Not sd-bus's credentials: what the bus does not say it reads from
// the sender's /proc entry, after the fact, and the process may be another by then.

#pragma once

#include "common/sdbus_compat.hpp"

#include <sys/types.h>

#include <memory>
#include <string>
#include <unordered_map>

namespace qemutap {

struct Caller {
    std::string sender; // its unique name on the bus
    uid_t uid = 0;
};

class Callers {
public:
    // Connects to the system bus once more: whoever waits for an answer on a connection makes sd-bus read into
    // memory all that others sent there before it, and to the service's own connection anybody may send.
    Callers();

    // Of the message that the handler of `object` is being called for. Throws TapError failed if its sender
    // left, std::runtime_error if the bus can't be asked; the next request asks it on another connection.
    Caller current(const sdbus::IObject &object);

    // For one that may have left while polkit was asked: throws TapError failed.
    void require_present(const Caller &caller);

    // The id of the bus, another one each time that a bus starts (D-Bus Specification, GetId).
    const std::string &bus_id() const { return bus_id_; }

private:
    void connect();
    template <typename Reply>
    Reply ask(const char *method, const std::string &name);

    std::unique_ptr<sdbus::IConnection> connection_;
    std::unique_ptr<sdbus::IProxy> bus_;
    std::string bus_id_;
    bool left_ = false; // the next question needs another connection
    // A unique name is one connection's for as long as the bus lives, so its uid never changes.
    std::unordered_map<std::string, uid_t> known_;
};

} // namespace qemutap
