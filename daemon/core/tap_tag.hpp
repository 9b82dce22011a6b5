// SPDX-License-Identifier: MIT
//
// The tag that each of the daemon's taps carries as its link's alias (IFLA_IFALIAS). The tags are the lease store: they
// hold everything about a lease that the kernel does not know by itself, and no other place holds it. Every process
// with CAP_NET_ADMIN can write an alias, so a tag also names the ifindex of the link it was written to: a copy on
// another link does not count.
//
// A tag has a version. The daemon writes version 2 and reads version 1 too, so that an upgraded daemon keeps the leases
// of its predecessor.

#pragma once

#include "common/mac_address.hpp"
#include "contract/hold.hpp"
#include "contract/profile.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qemutap {

// IFALIASZ without the terminating byte.
inline constexpr std::size_t tag_max_bytes = 255;

struct TapTag {
    std::string lease; // 16 lower-case hex digits
    unsigned position = 0;
    unsigned count = 1;                  // position is below count
    Profile profile = Profile::standard; // the address rule of the index
    unsigned index = 0;
    int ifindex = 0;
    uid_t uid = 0;
    Hold hold = Hold::fd;
    MacAddress mac; // the guest's
    unsigned queues = 1;
    bool vhost = false;
    std::uint64_t idle_timeout_seconds = 0;    // 0: none
    std::string attendant;                     // the lease ends when this caller leaves the bus; empty: none
    std::optional<std::uint64_t> born_seconds; // CLOCK_BOOTTIME; nullopt: a tag of version 1
    std::string label;                         // empty: none

    friend bool operator==(const TapTag &, const TapTag &) = default;
};

// True if the text is a caller as its bus knows it: the unique name, `@`, and the first 8 hex digits of the bus's id,
// as in `:1.23@5f0c9a1e`. The id distinguishes `:1.23` of this bus from `:1.23` of an earlier bus.
bool is_attendant(std::string_view text);

// Writes version 2. The text has at most 255 bytes for every tag whose values are in their ranges.
std::string encode(const TapTag &tag);

// Reads version 2 exactly as encode() writes it, and version 1 exactly as its daemons wrote it: a tag has one text in
// each version. Returns nullopt for every other text.
std::optional<TapTag> decode_tag(std::string_view alias);

// Reads version 1 exactly as its daemons wrote it. Returns nullopt for every other text.
std::optional<TapTag> decode_tag_version1(std::string_view alias);

// True if the values are in the ranges that both versions share.
bool is_in_range(const TapTag &tag);

} // namespace qemutap
