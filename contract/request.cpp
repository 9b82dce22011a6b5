// SPDX-License-Identifier: MIT
//
// Converts a request's choices to words and back, and checks the ranges of its values.

#include "contract/request.hpp"

#include "common/error.hpp"
#include "contract/descriptors.hpp"

namespace qemutap {

namespace {

[[noreturn]] void refuse(const std::string &text)
{
    throw TapError{ErrorCode::invalid_argument, text};
}

void require_range(const char *what, std::uint64_t value, std::uint64_t first, std::uint64_t last)
{
    if (value < first || value > last)
        refuse(std::string{what} + " " + std::to_string(value) + " is out of range: " + std::to_string(first) + " to " +
               std::to_string(last));
}

// Refuses vhost "yes" and vnet off for hold `name`: a program that opens a tap by its name chooses both itself.
void require_no_frame_choice(const TapRequest &request)
{
    if (request.vhost == VhostChoice::required)
        refuse("vhost 'yes' needs hold 'fd': vhost descriptors can't be handed over by a name");
    if (!request.vnet)
        refuse("vnet off needs hold 'fd': a program that opens a tap by its name says so itself (IFF_VNET_HDR)");
}

void require_no_early_end(const TapRequest &request)
{
    if (request.idle_timeout_seconds != 0)
        refuse("idle-timeout needs hold 'name': a lease held by descriptors ends with them");
    if (request.attended)
        refuse("attended needs hold 'name': a lease held by descriptors ends with them");
}

void require_descriptors_in_one_answer(const TapRequest &request)
{
    const bool vhost = request.vhost == VhostChoice::required;
    const auto descriptors = descriptor_count(request.count, request.queues, vhost);
    if (descriptors > max_descriptors)
        refuse(std::to_string(request.count) + " taps with " + std::to_string(request.queues) + " queues" +
               (vhost ? " and vhost" : "") + " are " + std::to_string(descriptors) +
               " descriptors, and one answer carries at most " + std::to_string(max_descriptors) +
               ": ask for fewer, or for hold 'name'");
}

} // namespace

std::string_view text_of(VhostChoice choice)
{
    switch (choice) {
    case VhostChoice::no:
        return "no";
    case VhostChoice::when_possible:
        return "auto";
    case VhostChoice::required:
        break;
    }
    return "yes";
}

std::optional<VhostChoice> parse_vhost_choice(std::string_view text)
{
    for (const auto choice : {VhostChoice::no, VhostChoice::when_possible, VhostChoice::required})
        if (text == text_of(choice))
            return choice;
    return std::nullopt;
}

bool wants_vhost(const TapRequest &request)
{
    return rule_of(request.hold).gives_descriptors && request.vhost != VhostChoice::no &&
           descriptor_count(request.count, request.queues, true) <= max_descriptors;
}

void validate(const TapRequest &request)
{
    require_range("count", request.count, 1, max_count);
    require_range("queues", request.queues, 1, max_queues);
    if (request.idle_timeout_seconds != 0)
        require_range("idle-timeout", request.idle_timeout_seconds, 1, max_idle_timeout_seconds);
    const auto &hold = rule_of(request.hold);
    if (!hold.gives_descriptors)
        require_no_frame_choice(request);
    else if (!request.vnet && request.vhost != VhostChoice::no)
        refuse("vnet off can't be with vhost, which moves frames with virtio's header");
    if (!hold.ended_by_service)
        require_no_early_end(request);
    if (hold.gives_descriptors)
        require_descriptors_in_one_answer(request);
}

} // namespace qemutap
