// SPDX-License-Identifier: MIT
//
// The bus's a{sv} and our values: requests read strictly, grants written. dbus/org.qemutap1.xml is the law.

#pragma once

#include "common/error.hpp"
#include "common/sdbus_compat.hpp"
#include "contract/grant.hpp"
#include "contract/request.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace qemutap {

using Dictionary = std::map<std::string, sdbus::Variant>;

// An option as it lies in a message: its key and text can be as long as the message, and are not copied.
struct OptionView {
    std::string_view key;
    std::variant<std::monostate, std::string_view, std::uint32_t, std::uint64_t, bool>
        value; // monostate: any other type
};

class OptionSource {
public:
    virtual ~OptionSource() = default;

    // nullopt: that was all. The views are valid until the next call.
    virtual std::optional<OptionView> next() = 0;
};

// More than a call can have without an unknown one, or one that is given twice.
inline constexpr std::size_t max_options = 9;

// Read option by option up to the first mistake, and nothing behind it. Throw TapError invalid_argument that names the
// key: an unknown one, one given twice, a wrong type, a value out of its range.
TapRequest parse_acquire(std::uint32_t count, OptionSource &options);
TapRequest parse_acquire(std::uint32_t count, const Dictionary &options);

struct ListRequest {
    bool all = false;
    bool interactive = false;
    bool columns = false;
};
ListRequest parse_list(OptionSource &options);
ListRequest parse_list(const Dictionary &options);

// Its count, hold, queues, vhost and label, for polkit's rules; without a label there is none.
std::map<std::string, std::string> request_details(const TapRequest &request);

// The same for one that does not exist, one that is another user's (I7), and what is no lease's id.
TapError no_such_lease(std::string_view lease);

std::vector<Dictionary> taps_on_wire(const std::vector<TapGrant> &taps);
Dictionary lease_on_wire(const LeaseGrant &lease);
// The same of all: for each key an array, with an element for each lease, or for each tap of one after the other.
Dictionary leases_in_columns(const std::vector<LeaseGrant> &leases);

} // namespace qemutap
