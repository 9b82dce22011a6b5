// SPDX-License-Identifier: MIT
//
// The form that each value of a grant has on the bus: a string, a 32-bit or 64-bit number, or a boolean.

#pragma once

#include "common/ipv4.hpp"
#include "common/mac_address.hpp"
#include "contract/hold.hpp"

#include <cstdint>
#include <string>

namespace qemutap {

// A string of D-Bus is UTF-8. Root may give a device a name that is not; such a name travels in quotes.
std::string to_wire(const std::string &text);
// 0.0.0.0 is the empty string: another program removed the address from the device.
std::string to_wire(const Ipv4Address &address);
std::string to_wire(const MacAddress &mac);
std::string to_wire(const Hold &hold);
inline std::uint32_t to_wire(const unsigned &number)
{
    return number;
}
inline std::uint64_t to_wire(const std::uint64_t &number)
{
    return number;
}
inline bool to_wire(const bool &truth)
{
    return truth;
}

// Each returns false, and leaves `value` as it is, if the form is of no value.
bool from_wire(std::string form, std::string &value);
bool from_wire(const std::string &form, Ipv4Address &value);
bool from_wire(const std::string &form, MacAddress &value);
bool from_wire(const std::string &form, Hold &value);
template <typename Number>
bool from_wire(Number form, Number &value)
{
    value = form;
    return true;
}

} // namespace qemutap
