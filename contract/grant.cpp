// SPDX-License-Identifier: MIT
//
// Checks the form of a lease's id.

#include "contract/grant.hpp"

namespace qemutap {

bool is_lease_id(std::string_view text)
{
    constexpr std::size_t digits = 16;
    return text.size() == digits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

} // namespace qemutap
