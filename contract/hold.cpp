// SPDX-License-Identifier: MIT
//
// The words for the ways to hold a lease.

#include "contract/hold.hpp"

namespace qemutap {

std::string_view text_of(Hold hold)
{
    return hold == Hold::fd ? "fd" : "name";
}

std::optional<Hold> parse_hold(std::string_view text)
{
    for (const auto hold : {Hold::fd, Hold::name})
        if (text == text_of(hold))
            return hold;
    return std::nullopt;
}

} // namespace qemutap
