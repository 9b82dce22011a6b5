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

// D-Bus strings are UTF-8, but root may give a device any bytes as its name. A text that is not ASCII gets the form of
// quote().
std::string to_wire(const std::string &text);
// 0.0.0.0 becomes the empty string: another program removed the address from the device.
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

// Each returns false and leaves `value` unchanged if `form` is no valid text or number of that type.
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
