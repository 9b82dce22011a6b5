// SPDX-License-Identifier: MIT
//
// Converts values to their forms on the bus and back.

#include "contract/wire_value.hpp"

#include "common/quote.hpp"

#include <algorithm>
#include <utility>

namespace qemutap {

std::string to_wire(const std::string &text)
{
    const bool ascii = std::ranges::all_of(text, [](char c) { return static_cast<signed char>(c) > 0; });
    return ascii ? text : quote(text);
}

std::string to_wire(const Ipv4Address &address)
{
    return address == Ipv4Address{} ? std::string{} : address.text();
}

std::string to_wire(const MacAddress &mac)
{
    return mac.text();
}

std::string to_wire(const Hold &hold)
{
    return std::string{text_of(hold)};
}

bool from_wire(std::string form, std::string &value)
{
    value = std::move(form);
    return true;
}

namespace {

template <typename Value>
bool assign(std::optional<Value> parsed, Value &value)
{
    if (parsed)
        value = *parsed;
    return parsed.has_value();
}

} // namespace

bool from_wire(const std::string &form, Ipv4Address &value)
{
    return form.empty() ? assign(std::optional{Ipv4Address{}}, value) : assign(Ipv4Address::parse(form), value);
}

bool from_wire(const std::string &form, MacAddress &value)
{
    return assign(MacAddress::parse(form), value);
}

bool from_wire(const std::string &form, Hold &value)
{
    return assign(parse_hold(form), value);
}

} // namespace qemutap
