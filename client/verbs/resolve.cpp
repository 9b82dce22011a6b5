// SPDX-License-Identifier: MIT
//
// Finds leases by name. A lease's id is unique. Labels are not, and a label may look like a tap's name.

#include "client/verbs/resolve.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"

#include <algorithm>

namespace qemutap {

namespace {

using Leases = std::vector<const LeaseGrant *>;

template <typename Fits>
Leases those_of(const std::vector<LeaseGrant> &leases, Fits fits)
{
    Leases found;
    for (const auto &lease : leases)
        if (fits(lease))
            found.push_back(&lease);
    return found;
}

const LeaseGrant *with_id(const std::vector<LeaseGrant> &leases, const std::string &id)
{
    const auto found = std::find_if(leases.begin(), leases.end(), [&](const auto &lease) { return lease.lease == id; });
    return found == leases.end() ? nullptr : &*found;
}

bool has_tap(const LeaseGrant &lease, const std::string &name)
{
    return std::any_of(lease.taps.begin(), lease.taps.end(), [&](const TapGrant &tap) { return tap.name == name; });
}

bool has_label(const LeaseGrant &lease, const std::string &name)
{
    return !name.empty() && lease.label == name;
}

[[noreturn]] void refuse_none(const std::string &name, const char *remedy)
{
    throw TapError{ErrorCode::no_such_lease, "there is no lease, label or tap " + quote(name) + remedy};
}

const LeaseGrant &only_one(const Leases &meant, const std::string &name, bool with_owners)
{
    if (meant.size() == 1)
        return *meant.front();
    std::string text = quote(name) + " names " + std::to_string(meant.size()) + " leases; give one of";
    for (const auto *lease : meant)
        text += " " + lease->lease + (with_owners ? " (uid " + std::to_string(lease->uid) + ")" : "");
    throw TapError{ErrorCode::invalid_argument, text};
}

} // namespace

const LeaseGrant &resolve(const std::vector<LeaseGrant> &leases, const std::string &name)
{
    if (const auto *lease = with_id(leases, name))
        return *lease;
    const auto meant =
        those_of(leases, [&](const LeaseGrant &lease) { return has_tap(lease, name) || has_label(lease, name); });
    if (meant.empty())
        refuse_none(name, " of yours; see qemu-tapctl list");
    return only_one(meant, name, false);
}

const LeaseGrant &resolve_for_root(const std::vector<LeaseGrant> &leases, uid_t own, const std::string &name)
{
    if (const auto *lease = with_id(leases, name))
        return *lease;
    auto meant = those_of(leases, [&](const LeaseGrant &lease) {
        return lease.uid == own && (has_tap(lease, name) || has_label(lease, name));
    });
    if (meant.empty())
        meant = those_of(leases, [&](const LeaseGrant &lease) { return has_tap(lease, name); });
    if (meant.empty())
        meant = those_of(leases, [&](const LeaseGrant &lease) { return has_label(lease, name); });
    if (meant.empty())
        refuse_none(name, "; see qemu-tapctl list --all");
    return only_one(meant, name, true);
}

} // namespace qemutap
