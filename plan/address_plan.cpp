// SPDX-License-Identifier: MIT
//
// Computes the networks, ports and taps of the plan, and checks exclusions and reservations.

#include "plan/address_plan.hpp"

#include "common/error.hpp"
#include "common/ipv4.hpp"
#include "common/quote.hpp"
#include "contract/profile.hpp"

#include <algorithm>
#include <utility>

namespace qemutap {

namespace {

// FNV-1a, 64 bit (draft-eastlake-fnv). It spreads labels over the indexes. No guarantee depends on it being hard to
// invert.
std::uint64_t fnv1a(std::string_view text)
{
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 0x100000001b3;
    }
    return hash;
}

} // namespace

AddressPlan::AddressPlan(PlanSettings settings, std::uint8_t machine_byte)
    : settings_{std::move(settings)},
      pool_{settings_},
      machine_byte_{machine_byte}
{
    reserve_indexes();
}

void AddressPlan::reserve_indexes()
{
    std::set<std::pair<uid_t, std::string>> labels;
    for (const auto &reservation : settings_.reservations) {
        const auto refuse = [&](const std::string &why) {
            throw TapError{ErrorCode::invalid_argument, "reserve " + quote(reservation.text()) + ": " + why};
        };
        const auto index = std::to_string(reservation.index);
        if (reservation.index < pool_.first_index() || reservation.index > pool_.last_index())
            refuse("index " + index + " is out of range: " + std::to_string(pool_.first_index()) + " to " +
                   std::to_string(pool_.last_index()));
        if (is_excluded(network(Profile::standard, reservation.index)))
            refuse("index " + index + " is never given, as its subnet " + pool_.subnet(reservation.index).text() +
                   " overlaps an exclusion");
        if (!reserved_indexes_.insert(reservation.index).second)
            refuse("index " + index + " is reserved twice");
        if (!labels.emplace(reservation.uid, reservation.label).second)
            refuse("this user's label " + quote(reservation.label) + " has another reservation already");
    }
}

const Reservation *AddressPlan::reservation_of(uid_t uid, std::string_view label) const
{
    const auto found = std::ranges::find_if(settings_.reservations, [&](const Reservation &reservation) {
        return reservation.uid == uid && reservation.label == label;
    });
    return found == settings_.reservations.end() ? nullptr : &*found;
}

Network AddressPlan::network(Profile rule, unsigned index) const
{
    return {.rule = rule,
            .index = index,
            .prefixes = rule_of(rule).prefixes(pool_, index),
            .gateway = gateway(rule, index)};
}

Port AddressPlan::port(const Network &network, unsigned position) const
{
    const MacSource source{.machine_byte = machine_byte_,
                           .rule_byte = rule_of(network.rule).mac_byte,
                           .index = network.index,
                           .position = position};
    return {.position = position,
            .guest = guest_address(network.gateway.address, position),
            .guest_mac = make_guest_mac(source),
            .host_mac = make_host_mac(source)};
}

PlannedTap AddressPlan::tap(Profile rule, unsigned index, std::string_view lease) const
{
    const auto &row = rule_of(rule);
    const auto prefix = row.device_prefix(settings_, lease);
    PlannedTap tap{.device = prefix + std::to_string(index),
                   .own_prefix = row.owns_device_prefix ? prefix : std::string{},
                   .network = network(rule, index)};
    tap.port = port(tap.network, 0);
    const Ipv4Prefix guest{.address = tap.port.guest, .length = 32};
    if (!tap.network.gateway.overlaps(guest))
        tap.route = guest;
    return tap;
}

bool AddressPlan::is_excluded(const Network &network) const
{
    const auto &own_block = rule_of(network.rule).own_block;
    return std::ranges::any_of(settings_.exclusions, [&](const Ipv4Prefix &exclusion) {
        return exclusion != own_block && std::ranges::any_of(network.prefixes, [&](const Ipv4Prefix &prefix) {
                   return exclusion.overlaps(prefix);
               });
    });
}

unsigned AddressPlan::search_start(Profile rule, uid_t uid, std::string_view label) const
{
    const auto [first, size] = indexes(rule);
    if (label.empty())
        return first;
    const auto hash = fnv1a(std::to_string(uid) + ":" + std::string{label});
    return first + static_cast<unsigned>(hash % size);
}

} // namespace qemutap
