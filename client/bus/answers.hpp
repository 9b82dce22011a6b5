// SPDX-License-Identifier: MIT
//
// Reads qemu-tapd's answers strictly, as dbus/org.qemutap1.xml defines them. Every function here throws TapError failed
// if an answer differs from that definition.

#pragma once

#include "common/sdbus_compat.hpp"
#include "contract/grant.hpp"

#include <map>
#include <string>
#include <vector>

namespace qemutap {

using Dictionary = std::map<std::string, sdbus::Variant>;

[[noreturn]] void refuse_answer(const std::string &what);

// Reads one tap from each dictionary. Returns at least one tap.
std::vector<TapGrant> read_taps(const std::vector<Dictionary> &dictionaries);

// List's answer in columns. It is read directly from the message: a variant around each value of thousands of leases
// takes ten times as long as all other work.
struct LeaseList {
    std::vector<LeaseGrant> leases;
};
sdbus::Message &operator>>(sdbus::Message &message, LeaseList &list);

} // namespace qemutap
