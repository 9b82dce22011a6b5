// SPDX-License-Identifier: MIT
//
// The request of a lease of N taps: its values, their defaults and their ranges.

#pragma once

#include "contract/hold.hpp"
#include "contract/profile.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace qemutap {

enum class VhostChoice { no, when_possible, required };

std::string_view text_of(VhostChoice choice); // "no", "auto", "yes"
std::optional<VhostChoice> parse_vhost_choice(std::string_view text);

inline constexpr unsigned max_count = 32;
inline constexpr unsigned max_queues = 16;
inline constexpr std::uint64_t max_idle_timeout_seconds = 31'536'000; // 365 days

struct TapRequest {
    unsigned count = 1;
    Hold hold = Hold::fd;
    std::string label{}; // empty: none
    unsigned queues = 1;
    VhostChoice vhost = VhostChoice::no;
    bool vnet = true;                       // a virtio header precedes each frame (IFF_VNET_HDR)
    std::uint64_t idle_timeout_seconds = 0; // 0: none
    bool attended = false;                  // the lease ends with the caller's connection to the bus
    Profile profile = Profile::standard;
    bool interactive = false; // polkit may ask the user for a password

    friend bool operator==(const TapRequest &, const TapRequest &) = default;
};

// Throws TapError invalid_argument that names the value and its range. Does not check the label: each program that
// reads a label checks it.
void validate(const TapRequest &request);

// True if the request asks for vhost descriptors ("yes" or "auto") and one answer can carry them.
bool wants_vhost(const TapRequest &request);

} // namespace qemutap
