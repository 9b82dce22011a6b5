// SPDX-License-Identifier: MIT
//
// Who is on the bus, for leases that end with their caller's connection. The bus tells of each connection that ends,
// however it does (D-Bus Specification, NameOwnerChanged); it is asked to only while there are such leases, as it would
// wake us for everybody's.

#pragma once

#include "common/sdbus_compat.hpp"

#include <functional>
#include <memory>
#include <set>
#include <string>

namespace qemutap {

// Attendants as is_attendant() has them; neither may throw.
struct AttendanceNews {
    std::function<void(const std::string &)> left;
    // All who are there; once after each time that watching began.
    std::function<void(const std::set<std::string> &)> present;
};

class Attendance {
public:
    // The service's connection: what the bus tells comes in one order with what callers ask for, and so the list of
    // who is there has everybody who asked for a lease before it came.
    Attendance(sdbus::IConnection &connection, const std::string &bus_id, AttendanceNews news);

    // The caller with this unique name on this bus.
    std::string attendant(const std::string &unique_name) const { return unique_name + bus_; }

    // Whether to watch. Does not throw, and does not wait: where the bus can't be asked it is asked again the next
    // time.
    void watch(bool any) noexcept;

private:
    void tell_bus(const char *method);
    void ask_who_is_present();

    std::string bus_; // what tells the bus from others, behind a name
    AttendanceNews news_;
    std::unique_ptr<sdbus::IProxy> proxy_;
    sdbus::Slot departures_;
    bool watching_ = false;
};

} // namespace qemutap
