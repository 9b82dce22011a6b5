// SPDX-License-Identifier: MIT
//
// The table of holds. A hold is the way in which a lease is held: by descriptors of its taps, or by the names of their
// devices. Code reads the row of a hold; a new hold is a new row.

#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace qemutap {

enum class Hold { fd, name };

struct HoldRule {
    Hold hold;
    std::string_view word;       // on the bus, on command lines and in tags of version 1
    std::string_view tag_letter; // in tags of version 2
    // True: the caller gets the taps' descriptors, and vhost descriptors if it asks for them. False: the caller gets
    // names only, and the program that opens a tap by its name chooses the header of frames.
    bool gives_descriptors;
    // True: the devices outlive all descriptors. False: the kernel deletes a device with its last descriptor.
    bool persistent;
    // True: the service ends the lease when a client releases it, when its idle timeout is over, when its attendant
    // leaves the bus, or when one of its taps is gone. False: every tap ends by itself.
    bool ended_by_service;
};

inline constexpr std::array hold_rules{
    HoldRule{.hold = Hold::fd,
             .word = "fd",
             .tag_letter = "f",
             .gives_descriptors = true,
             .persistent = false,
             .ended_by_service = false},
    HoldRule{.hold = Hold::name,
             .word = "name",
             .tag_letter = "n",
             .gives_descriptors = false,
             .persistent = true,
             .ended_by_service = true},
};

constexpr const HoldRule &rule_of(Hold hold)
{
    return hold_rules.at(static_cast<std::size_t>(hold));
}

constexpr std::string_view text_of(Hold hold)
{
    return rule_of(hold).word;
}

constexpr std::optional<Hold> parse_hold(std::string_view text)
{
    for (const auto &rule : hold_rules)
        if (text == rule.word)
            return rule.hold;
    return std::nullopt;
}

} // namespace qemutap
