// SPDX-License-Identifier: MIT
//
// Declares and checks the options that several verbs share, so that an option means the same in each verb.

#include "client/verbs/lease_options.hpp"

#include "common/error.hpp"
#include "common/label.hpp"
#include "common/number.hpp"
#include "common/number_option.hpp"
#include "common/quote.hpp"
#include "contract/hold.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace qemutap {

namespace {

[[noreturn]] void refuse(const std::string &text)
{
    throw TapError{ErrorCode::invalid_argument, text};
}

constexpr unsigned highest_nic = 999; // more NICs than any guest has

} // namespace

void add_no_ask_password(CLI::App &app, bool &ask_password)
{
    app.add_flag_callback(
        "--no-ask-password", [&ask_password] { ask_password = false; }, "Never ask for a password");
}

void LeaseOptions::add_common(CLI::App &app)
{
    add_number(app, "--count", count, "How many taps, each with a NIC of the guest");
    app.add_option("--label", label, "Your name for the lease: it finds the same device and addresses again");
    add_no_ask_password(app, ask_password);
}

void LeaseOptions::add_nic(CLI::App &app)
{
    add_number(app, "--queues", queues, "Queues of each tap; more than one makes the NIC multi-queue");
    add_device(app);
}

void LeaseOptions::add_device(CLI::App &app, const std::string &by_default)
{
    app.add_option("--device", device, "QEMU's NIC model")->default_str(by_default);
    first_nic_given = add_number(app, "--first-nic", first_nic, "N of the guest's ethN that the first of our NICs is")
                          ->default_str("");
}

void LeaseOptions::add_format(CLI::App &app, Format by_default)
{
    format = text_of(by_default);
    app.add_option("--format", format, "text, json, qemu, cmdline, env or yocto")->capture_default_str();
}

TapRequest LeaseOptions::request(Hold hold) const
{
    TapRequest request;
    request.count = count;
    request.hold = hold;
    request.queues = queues;
    const auto choice = parse_vhost_choice(vhost);
    if (!choice)
        refuse("--vhost " + quote(vhost) + " must be no, auto or yes");
    request.vhost = *choice;
    if (label) {
        if (!is_label(*label))
            refuse("--label " + quote(*label) + " can't be: " + std::string{label_rule});
        request.label = *label;
    }
    if (idle_timeout) {
        const auto seconds = parse_idle_timeout(*idle_timeout);
        if (!seconds)
            refuse("--idle-timeout " + quote(*idle_timeout) +
                   " must be a time from 1 s to 365 d, such as 90, 90s, 15min, 2h or 1d");
        request.idle_timeout_seconds = *seconds;
    }
    validate(request);
    return request;
}

NicOptions LeaseOptions::nic(const std::string &by_default) const
{
    if (device && !is_device_model(*device))
        refuse("--device " + quote(*device) + " must be a NIC model such as virtio-net-pci or e1000");
    if (first_nic > highest_nic)
        refuse("--first-nic " + std::to_string(first_nic) + " must be from 0 to " + std::to_string(highest_nic));
    NicOptions options;
    options.device = device.value_or(by_default);
    if (first_nic_given && first_nic_given->count() > 0)
        options.first_nic = first_nic;
    return options;
}

Format LeaseOptions::chosen_format() const
{
    const auto chosen = parse_format(format);
    if (!chosen)
        refuse("--format " + quote(format) + " must be text, json, qemu, cmdline, env or yocto");
    return *chosen;
}

std::optional<std::uint64_t> parse_idle_timeout(std::string_view text)
{
    constexpr std::array<std::pair<std::string_view, std::uint64_t>, 5> units{
        {{"", 1}, {"s", 1}, {"min", 60}, {"h", 60 * 60}, {"d", 24 * 60 * 60}}};
    const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = parse_number<std::uint64_t>(text.substr(0, digits));
    for (const auto &[unit, seconds] : units)
        if (number && text.substr(digits) == unit && *number >= 1 && *number <= max_idle_timeout_seconds / seconds)
            return *number * seconds;
    return std::nullopt;
}

} // namespace qemutap
