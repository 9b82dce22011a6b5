// SPDX-License-Identifier: MIT
//
// The table of a tap's fields and the table of a lease's fields. Each field that a caller sees has one row here. The
// daemon's answers, the client's reader, JSON and shell variables all use the rows.
// Tests compare doc/man/org.qemutap1.5 and dbus/org.qemutap1.xml with the rows.

#pragma once

#include "contract/bus_names.hpp"
#include "contract/grant.hpp"
#include "contract/request.hpp"
#include "contract/wire_value.hpp"

#include <concepts>
#include <cstdint>
#include <tuple>
#include <utility>

namespace qemutap {

struct FieldRule {
    // The range of a field that is a number.
    std::uint64_t least = 0;
    std::uint64_t most = UINT64_MAX;
    // A second key that carries the same value. The client does not read it: older daemons do not write it.
    const char *second_key = nullptr;
    bool in_environment = true; // the `env` format has a variable for it
};

template <typename GrantType, typename ValueType>
struct Field {
    using Grant = GrantType;
    using Value = ValueType;
    using Wire = decltype(to_wire(std::declval<const Value &>()));

    const char *key; // on the bus; in JSON `_` replaces `-`
    Value Grant::*member;
    FieldRule rule{};

    Wire get(const Grant &grant) const { return to_wire(grant.*member); }

    // Returns false and leaves the grant unchanged if `form` is not a valid value of this field.
    bool set(Grant &grant, Wire form) const
    {
        if constexpr (std::unsigned_integral<Wire> && !std::same_as<Wire, bool>)
            if (form < rule.least || form > rule.most)
                return false;
        return from_wire(std::move(form), grant.*member);
    }
};

template <typename Grant, typename Value>
constexpr Field<Grant, Value> field(const char *key, Value Grant::*member, FieldRule rule = {})
{
    return {.key = key, .member = member, .rule = rule};
}

inline constexpr std::tuple tap_fields{
    field("name", &TapGrant::name),
    field("index", &TapGrant::index, {.in_environment = false}),
    field("gateway", &TapGrant::gateway),
    field("client", &TapGrant::guest, {.second_key = "guest"}),
    field("prefix-length", &TapGrant::prefix_length, {.most = 32}),
    field("mac", &TapGrant::mac),
    field(key_queues, &TapGrant::queues, {.least = 1, .most = max_queues, .in_environment = false}),
    field(key_vhost, &TapGrant::vhost, {.in_environment = false}),
};

// The fields of a lease without its taps, which are under key_taps.
inline constexpr std::tuple lease_fields{
    field("lease", &LeaseGrant::lease),
    field(key_label, &LeaseGrant::label),
    field("uid", &LeaseGrant::uid),
    field(key_hold, &LeaseGrant::hold),
    field(key_idle_timeout, &LeaseGrant::idle_timeout_seconds),
    field(key_attended, &LeaseGrant::attended),
};

// Calls `use` with each row of a table, in order.
template <typename Fields, typename Use>
constexpr void for_each_field(const Fields &fields, Use use)
{
    std::apply([&use](const auto &...field) { (use(field), ...); }, fields);
}

// Calls `use` with each key of a field, in order.
template <typename AnyField, typename Use>
constexpr void for_each_key(const AnyField &field, Use use)
{
    use(field.key);
    if (field.rule.second_key)
        use(field.rule.second_key);
}

} // namespace qemutap
