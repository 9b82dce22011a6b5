// SPDX-License-Identifier: MIT
//
// What qemu-tapd's answers say, read strictly: dbus/org.qemutap1.xml is the law. All of it throws TapError failed
// where an answer is not as promised.

#pragma once

#include "common/sdbus_compat.hpp"
#include "contract/grant.hpp"

#include <map>
#include <string>
#include <vector>

namespace qemutap {

using Dictionary = std::map<std::string, sdbus::Variant>;

[[noreturn]] void refuse_answer(const std::string &what);

// At least one.
std::vector<TapGrant> read_taps(const std::vector<Dictionary> &dictionaries);

// List's answer in columns. Read straight from the message: a variant around each value of thousands of leases takes
// ten times as long as the rest.
struct LeaseList {
    std::vector<LeaseGrant> leases;
};
sdbus::Message &operator>>(sdbus::Message &message, LeaseList &list);

} // namespace qemutap
