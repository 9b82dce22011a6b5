// SPDX-License-Identifier: MIT
//
// A label is the owner's own name for a lease. It travels through the bus, the link's alias, the log, shell
// lines and systemd's EnvironmentFile=, so its alphabet is one that needs no quoting in any of them, and its
// length that of a DNS label (RFC 1035).

#pragma once

#include <cstddef>
#include <string_view>

namespace qemutap {

inline constexpr std::size_t label_max_bytes = 63;

// 1 to 63 bytes, the first a letter or digit, the others of letters, digits and ". _ : @ + -".
bool is_label(std::string_view text);

// What a label may be, for error messages.
inline constexpr std::string_view label_rule =
    "a label is 1 to 63 bytes of letters, digits and . _ : @ + - and begins with a letter or digit";

} // namespace qemutap
