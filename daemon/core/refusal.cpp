// SPDX-License-Identifier: MIT
//
// Writes one text for each reason to refuse a lease.

#include "daemon/core/refusal.hpp"

#include "common/ipv4.hpp"
#include "common/quote.hpp"

#include <utility>

namespace qemutap {

namespace {

TapError over_limit(const std::string &who, const TapCount &taps, unsigned limit, unsigned asked)
{
    const auto undeleted = taps.undeleted == 0 ? std::string{}
                                               : " and " + taps_in_words(taps.undeleted) +
                                                     " undeleted, which a process still writes to or reads from,";
    return {ErrorCode::limit_exceeded, who + taps_in_words(taps.held) + undeleted + " and may hold " +
                                           std::to_string(limit) + ": " + std::to_string(asked) + " more are too many"};
}

TapError gave_up(const std::string &why, int attempts)
{
    return {ErrorCode::host_refused, why + "; gave up after " + std::to_string(attempts) + " attempts"};
}

} // namespace

TapError over_own_limit(uid_t uid, const TapCount &taps, unsigned limit, unsigned asked)
{
    return over_limit("uid " + std::to_string(uid) + " holds ", taps, limit, asked);
}

TapError over_common_limit(const TapCount &taps, unsigned limit, unsigned asked)
{
    return over_limit("all users together hold ", taps, limit, asked);
}

TapError over_deletion_limit(uid_t uid, std::size_t under_way)
{
    return {ErrorCode::limit_exceeded, std::to_string(under_way) + " deletions of taps of uid " + std::to_string(uid) +
                                           " have not ended: try again when they have"};
}

TapError entered_each_time(int attempts)
{
    return gave_up("another user attaches queues to each new multi-queue tap before it has its owner", attempts);
}

TapError collided_each_time(int attempts)
{
    return gave_up("other programs took each subnet while its tap was made", attempts);
}

TapError pool_exhausted(const AddressPlan &plan, Profile rule, unsigned asked, std::size_t leased,
                        const std::vector<std::string> &occupants)
{
    const auto &row = rule_of(rule);
    auto text = row.no_free_index(plan.pool(), asked);
    text += ": " + taps_in_words(leased) + " leased";
    if (const auto reserved = plan.settings().reservations.size(); row.reservable && reserved != 0)
        text += ", " + std::to_string(reserved) + " reserved";
    for (const auto &occupant : occupants)
        text += ", " + occupant;
    return {ErrorCode::pool_exhausted, text};
}

TapError reserved_index_taken(const AddressPlan &plan, const Reservation &reservation,
                              const std::vector<std::string> &occupants)
{
    const auto name = plan.pool().device_name(reservation.index);
    std::string text = "label " + quote(reservation.label) + " has the reservation of " + name + " with " +
                       plan.pool().subnet(reservation.index).text() + ", which is not free";
    const char *separator = ": ";
    for (const auto &occupant : occupants)
        text += std::exchange(separator, ", ") + occupant;
    if (occupants.empty())
        text += ": a device has the name, or a lease the index";
    return {ErrorCode::pool_exhausted, text + "; use another label, or end what has it"};
}

} // namespace qemutap
