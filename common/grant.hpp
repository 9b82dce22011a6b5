// SPDX-License-Identifier: MIT
//
// What is asked for and what is given: the request of a lease of N taps, and the grant that answers it.
// Both programs speak in these values; the bus only carries them.

#pragma once

#include "common/ipv4.hpp"
#include "common/mac_address.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qemutap {

// How a lease is held: by descriptors, and it ends with the last of them; or by the devices' names, and it
// ends when it is released.
enum class Hold { fd, name };
enum class VhostChoice { no, when_possible, required };
// By whose rule the lease's first tap gets its name and addresses; all others get theirs by our own.
enum class Profile { standard, runqemu };

std::string_view text_of(Hold hold);
std::optional<Hold> parse_hold(std::string_view text);
std::string_view text_of(VhostChoice choice); // "no", "auto", "yes"
std::optional<VhostChoice> parse_vhost_choice(std::string_view text);
std::string_view text_of(Profile profile);
std::optional<Profile> parse_profile(std::string_view text);

inline constexpr unsigned max_count = 32;
inline constexpr unsigned max_queues = 16;
// Of one lease. The kernel lets a process have as many descriptors in unread messages as it may open (unix(7), 1024
// without a unit): 48 hand-overs of so many fit.
inline constexpr unsigned max_descriptors = 16;
inline constexpr std::uint64_t max_idle_timeout_seconds = 31'536'000; // 365 days

struct TapRequest {
    unsigned count = 1;
    Hold hold = Hold::fd;
    std::string label; // empty: none
    unsigned queues = 1;
    VhostChoice vhost = VhostChoice::no;
    bool vnet = true;                       // frames have virtio's header before them
    std::uint64_t idle_timeout_seconds = 0; // 0: none
    bool attended = false;                  // it ends with the caller's connection to the bus
    Profile profile = Profile::standard;
    bool interactive = false;

    friend bool operator==(const TapRequest &, const TapRequest &) = default;
};

// Throws TapError invalid_argument that names the value and its range. A label is checked where it is given;
// an empty one means none here.
void validate(const TapRequest &request);

// With vhost each queue comes with a vhost descriptor.
constexpr unsigned descriptor_count(unsigned count, unsigned queues, bool vhost)
{
    return count * queues * (vhost ? 2 : 1);
}

// Whether vhost descriptors are to be given where the host has them: they are asked for, and one answer carries them.
bool wants_vhost(const TapRequest &request);

struct TapGrant {
    std::string name; // of the host's device
    unsigned index = 0;
    Ipv4Address gateway; // the host's address; both are 0.0.0.0 if somebody took the address off the device
    Ipv4Address client;
    unsigned prefix_length = 0;
    MacAddress mac; // the guest's
    unsigned queues = 1;
    bool vhost = false;

    friend bool operator==(const TapGrant &, const TapGrant &) = default;
};

// 16 lower-case hex digits.
bool is_lease_id(std::string_view text);

struct LeaseGrant {
    std::string lease;
    std::string label;
    uid_t uid = 0;
    Hold hold = Hold::fd;
    std::uint64_t idle_timeout_seconds = 0;
    bool attended = false;
    std::vector<TapGrant> taps;
    std::optional<std::uint64_t> born_seconds{}; // CLOCK_BOOTTIME; nullopt: unknown

    friend bool operator==(const LeaseGrant &, const LeaseGrant &) = default;
};

} // namespace qemutap
