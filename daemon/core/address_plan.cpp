// SPDX-License-Identifier: MIT
//
// The arithmetic of the address plan and the limits within which its settings make sense.

#include "daemon/core/address_plan.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"

#include <net/if.h>

#include <algorithm>
#include <utility>

namespace qemutap {

namespace {

constexpr unsigned longest_prefix = 30;         // a gateway and a client address between network and broadcast
constexpr std::uint32_t highest_index = 0xffff; // two bytes of the MAC
constexpr std::size_t index_digits = 5;
constexpr std::uint8_t reserved_machine_byte = 0x12; // 52:54:00:12:34:xx are QEMU's and runqemu's own

[[noreturn]] void refuse(const std::string &text)
{
    throw TapError{ErrorCode::invalid_argument, text};
}

void check_device_prefix(const std::string &prefix)
{
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    const auto is_name_char = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_'; };
    if (prefix.empty() || prefix.size() > IFNAMSIZ - 1 - index_digits || !is_letter(prefix.front()) ||
        !std::all_of(prefix.begin(), prefix.end(), is_name_char) || (prefix.back() >= '0' && prefix.back() <= '9'))
        refuse("device-prefix " + quote(prefix) + " makes no device name: it is 1 to 10 letters, digits, - and _, " +
               "begins with a letter and does not end with a digit");
}

void check_pool(const Ipv4Prefix &pool)
{
    if (!pool.is_network())
        refuse("pool " + pool.text() + " has bits beyond its length: did you mean " + pool.network().text() + "?");
    const auto is_unicast = [](Ipv4Address address) {
        const auto first_byte = address.value >> 24;
        return first_byte != 0 && first_byte != 127 && first_byte < 224;
    };
    if (pool.length < 8 || !is_unicast(pool.address))
        refuse("pool " + pool.text() + " is no block of unicast addresses with a length of 8 or more");
}

// FNV-1a, 64 bit (draft-eastlake-fnv): spreads labels; nothing depends on it being hard to invert.
std::uint64_t fnv1a(std::string_view text)
{
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 0x100000001b3;
    }
    return hash;
}

// runqemu wants a prefix (OE_TAP_NAME) and finds the number behind it: so it ends in a letter. With a number of three
// digits it has to fit IFNAMSIZ.
std::string runqemu_name_prefix(std::string_view lease)
{
    constexpr std::size_t digits_of_lease = 8;
    return "rq" + std::string{lease.substr(0, digits_of_lease)} + "t";
}

} // namespace

std::string Reservation::text() const
{
    return user + " " + label + " " + std::to_string(index);
}

AddressPlan::AddressPlan(PlanSettings settings, std::uint8_t machine_byte)
    : settings_{std::move(settings)},
      machine_byte_{machine_byte}
{
    if (machine_byte_ == reserved_machine_byte)
        ++machine_byte_;
    check_device_prefix(settings_.device_prefix);
    check_pool(settings_.pool);
    const auto length = settings_.prefix_length;
    if (length < 1 || length > longest_prefix)
        refuse("prefix-length " + std::to_string(length) + " is out of range: 1 to " + std::to_string(longest_prefix) +
               ", a subnet holds a gateway and a client address");
    if (length < settings_.pool.length)
        refuse("prefix-length " + std::to_string(length) + " is shorter than the pool's: " + settings_.pool.text() +
               " holds no such subnet");
    const auto subnets = std::uint32_t{1} << (length - settings_.pool.length);
    if (subnets < 2 || settings_.first_index > std::min(subnets - 2, highest_index))
        refuse("pool " + settings_.pool.text() + " is too small: it holds " + std::to_string(subnets) +
               " subnets of /" + std::to_string(length) + ", its last one is not used, and first-index is " +
               std::to_string(settings_.first_index));
    last_index_ = std::min(subnets - 2, highest_index);
    reserve_indexes();
}

void AddressPlan::reserve_indexes()
{
    std::set<std::pair<uid_t, std::string>> labels;
    for (const auto &reservation : settings_.reservations) {
        const auto refuse_it = [&](const std::string &why) {
            refuse("reserve " + quote(reservation.text()) + ": " + why);
        };
        const auto index = std::to_string(reservation.index);
        if (reservation.index < first_index() || reservation.index > last_index())
            refuse_it("index " + index + " is out of range: " + std::to_string(first_index()) + " to " +
                      std::to_string(last_index()));
        if (is_excluded(Profile::standard, tap(Profile::standard, reservation.index, {})))
            refuse_it("index " + index + " is never given, as its subnet " + subnet(reservation.index).text() +
                      " overlaps an exclusion");
        if (!reserved_indexes_.insert(reservation.index).second)
            refuse_it("index " + index + " is reserved twice");
        if (!labels.emplace(reservation.uid, reservation.label).second)
            refuse_it("this user's label " + quote(reservation.label) + " has another reservation already");
    }
}

const Reservation *AddressPlan::reservation_of(uid_t uid, std::string_view label) const
{
    const auto &all = settings_.reservations;
    const auto found = std::find_if(all.begin(), all.end(), [&](const Reservation &reservation) {
        return reservation.uid == uid && reservation.label == label;
    });
    return found == all.end() ? nullptr : &*found;
}

Ipv4Prefix AddressPlan::subnet(unsigned index) const
{
    const auto length = settings_.prefix_length;
    return {{settings_.pool.address.value + (index << (32 - length))}, length};
}

Ipv4Prefix AddressPlan::gateway(unsigned index) const
{
    auto gateway = subnet(index);
    ++gateway.address.value;
    return gateway;
}

std::string AddressPlan::device_name(unsigned index) const
{
    return settings_.device_prefix + std::to_string(index);
}

IndexRange AddressPlan::indexes(Profile profile) const
{
    if (profile == Profile::runqemu)
        return {0, runqemu_pairs};
    return {first_index(), size()};
}

Ipv4Prefix AddressPlan::gateway(Profile profile, unsigned index) const
{
    if (profile == Profile::runqemu)
        return {{runqemu_network.address.value + 2 * index + 1}, 32};
    return gateway(index);
}

PlannedTap AddressPlan::tap(Profile profile, unsigned index, std::string_view lease) const
{
    const auto guest = mac(0x52, profile, index);
    const auto host = mac(0xfe, profile, index);
    if (profile == Profile::standard)
        return {device_name(index), {}, {subnet(index)}, gateway(index), std::nullopt, guest, host};
    const auto own = gateway(profile, index);
    const Ipv4Prefix client{client_address(own.address), 32};
    const auto prefix = runqemu_name_prefix(lease);
    return {prefix + std::to_string(index), prefix, {own, client}, own, client, guest, host};
}

bool AddressPlan::is_excluded(Profile profile, const PlannedTap &tap) const
{
    const auto &exclusions = settings_.exclusions;
    return std::any_of(exclusions.begin(), exclusions.end(), [&](const Ipv4Prefix &exclusion) {
        if (profile == Profile::runqemu && exclusion == runqemu_network)
            return false;
        return std::any_of(tap.prefixes.begin(), tap.prefixes.end(),
                           [&](const Ipv4Prefix &prefix) { return exclusion.overlaps(prefix); });
    });
}

unsigned AddressPlan::search_start(Profile profile, uid_t uid, std::string_view label) const
{
    const auto [first, size] = indexes(profile);
    if (label.empty())
        return first;
    const auto hash = fnv1a(std::to_string(uid) + ":" + std::string{label});
    return first + static_cast<unsigned>(hash % size);
}

MacAddress AddressPlan::mac(std::uint8_t first_byte, Profile profile, unsigned index) const
{
    const std::uint8_t third_byte = profile == Profile::standard ? 0 : 1;
    return {{first_byte, 0x54, third_byte, machine_byte_, static_cast<std::uint8_t>(index >> 8),
             static_cast<std::uint8_t>(index)}};
}

Ipv4Address client_address(Ipv4Address gateway)
{
    return {gateway.value + 1};
}

} // namespace qemutap
