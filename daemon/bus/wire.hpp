// SPDX-License-Identifier: MIT
//
// The bus's a{sv} and our values: requests read strictly, grants written. dbus/org.qemutap1.xml is the law.

#pragma once

#include "common/grant.hpp"
#include "common/sdbus_compat.hpp"

#include <map>
#include <string>
#include <vector>

namespace qemutap {

using Dictionary = std::map<std::string, sdbus::Variant>;

// Throw TapError invalid_argument that names the key: an unknown one, a wrong type, a value out of its range.
TapRequest parse_acquire(std::uint32_t count, const Dictionary &options);

struct ListRequest {
    bool all = false;
    bool interactive = false;
    bool columns = false;
};
ListRequest parse_list(const Dictionary &options);

std::vector<Dictionary> taps_on_wire(const std::vector<TapGrant> &taps);
Dictionary lease_on_wire(const LeaseGrant &lease);
// The same of all: for each key an array, with an element for each lease, or for each tap of one after the other.
Dictionary leases_in_columns(const std::vector<LeaseGrant> &leases);

} // namespace qemutap
