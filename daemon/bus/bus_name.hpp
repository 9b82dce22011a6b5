// SPDX-License-Identifier: MIT
//
// The service's name on the bus. dbus-daemon does not notice the end of a connection that it does not read from, so a
// service that is dead, or hangs, may still own the name: one that does not answer is replaced. The bus policy lets
// only the service's user own the name, so no other program can do that to us.

#pragma once

#include "common/sdbus_compat.hpp"

#include <functional>
#include <string>

namespace qemutap {

class BusName {
public:
    // `lost` is called when another process has taken the name; it must not throw.
    BusName(sdbus::IConnection &connection, std::function<void()> lost);

    // Throws std::runtime_error if another process owns the name and answers, or the policy forbids it.
    void take();

    // Throws sdbus::Error.
    void give_back();

private:
    bool request(std::uint32_t flags);
    bool does_owner_answer();

    sdbus::IConnection &connection_;
    std::unique_ptr<sdbus::IProxy> bus_;
    std::function<void()> lost_;
    bool owned_ = false;
    sdbus::Slot losses_;
};

} // namespace qemutap
