// SPDX-License-Identifier: MIT
//
// The tag that a tap of ours carries as its link's alias (IFLA_IFALIAS). The tags are the lease store: what
// the kernel does not know of a lease by itself is written here, and nowhere else. Anybody with CAP_NET_ADMIN
// can write an alias, so a tag also names the ifindex of the link it was written to: a copy on another link
// is no tag of ours.

#pragma once

#include "common/grant.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace qemutap {

struct TapTag {
    std::string lease; // 16 lower-case hex digits
    unsigned position = 0;
    unsigned count = 1;                  // position is below count
    Profile profile = Profile::standard; // by which the index is
    unsigned index = 0;
    int ifindex = 0;
    uid_t uid = 0;
    Hold hold = Hold::fd;
    MacAddress mac; // the guest's
    unsigned queues = 1;
    bool vhost = false;
    std::uint64_t idle_timeout_seconds = 0; // 0: none
    std::string attendant;                  // who must be there for the lease to go on; empty: nobody
    std::string label;                      // empty: none

    friend bool operator==(const TapTag &, const TapTag &) = default;
};

// A caller as the bus it is on knows it: its unique name, `@`, and the first 8 hex digits of the bus's id, so that a
// name of an earlier bus is not taken for the same name on this one: `:1.23@5f0c9a1e`.
bool is_attendant(std::string_view text);

// At most 255 bytes (IFALIASZ less its end), for every tag whose values are in their ranges.
std::string encode(const TapTag &tag);

// Accepts exactly what encode() writes: one tag has one text. Anything else, of any length and any bytes,
// is nullopt.
std::optional<TapTag> decode_tag(std::string_view alias);

} // namespace qemutap
