// SPDX-License-Identifier: MIT
//
// A label is the owner's own name for a lease. The bus, the link's alias, the log, shell lines and systemd's
// EnvironmentFile= carry it, so its alphabet needs no quoting in any of them. Its greatest length is that of a DNS
// label (RFC 1035).

#pragma once

#include <cstddef>
#include <string_view>

namespace qemutap {

inline constexpr std::size_t label_max_bytes = 63;

// True for 1 to 63 bytes: first a letter or a digit, then letters, digits and ". _ : @ + -".
bool is_label(std::string_view text);

// The rule for labels in words, for error messages.
inline constexpr std::string_view label_rule =
    "a label is 1 to 63 bytes of letters, digits and . _ : @ + - and begins with a letter or digit";

} // namespace qemutap
