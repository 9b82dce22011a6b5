// SPDX-License-Identifier: MIT
//
// Spells each QEMU option in one way for every lease.

#include "client/vmm/args.hpp"

#include <algorithm>
#include <string>

namespace qemutap {

namespace {

constexpr std::string_view letters_and_digits = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool consists_of(std::string_view text, const std::string &alphabet)
{
    return text.find_first_not_of(alphabet) == std::string_view::npos;
}

std::string joined(const std::vector<int> &numbers)
{
    std::string text;
    for (const int number : numbers)
        text += (text.empty() ? "" : ":") + std::to_string(number);
    return text;
}

// QEMU's options need a comma within a value doubled. The service's own names have no comma, but root may rename a tap.
std::string escaped(const std::string &value)
{
    std::string text;
    for (const char c : value)
        text += c == ',' ? std::string{",,"} : std::string(1, c);
    return text;
}

std::string netdev_id(unsigned position, const NicOptions &options)
{
    return std::string{options.netdev} + std::to_string(options.first_netdev + position);
}

std::string device_value(const TapGrant &tap, unsigned position, const NicOptions &options)
{
    const auto &device = options.device;
    const std::string_view model{device.data(), std::min(device.find(','), device.size())};
    std::string value = device + ",netdev=" + netdev_id(position, options) + ",mac=" + tap.mac.text();
    const bool is_virtio = model.substr(0, 10) == "virtio-net";
    if (tap.queues > 1 && is_virtio)
        value += ",mq=on";
    // virtio 1.2, 5.1.2: one interrupt vector for each direction of each queue, one for configuration changes, one for
    // control. Only the PCI transport has the property.
    if (tap.queues > 1 && is_virtio && model.find("-pci") != std::string_view::npos)
        value += ",vectors=" + std::to_string(2 * tap.queues + 2);
    // Without `bus=` QEMU fills the virtio-mmio places from the last one down. The guest searches them from the first
    // one up, so its NICs would be in reverse order.
    if (model == "virtio-net-device" && options.first_mmio_bus && device.find(",bus=") == std::string::npos)
        value += ",bus=" + std::string{mmio_bus} + std::to_string(*options.first_mmio_bus + position);
    return value;
}

std::vector<std::string> pairs(const LeaseGrant &lease, const NicOptions &options,
                               const std::vector<std::string> &backends)
{
    std::vector<std::string> words;
    for (unsigned i = 0; i < lease.taps.size(); ++i)
        words.insert(words.end(), {"-netdev", "tap,id=" + netdev_id(i, options) + "," + backends.at(i), "-device",
                                   device_value(lease.taps[i], i, options)});
    return words;
}

} // namespace

std::vector<std::string> qemu_args(const LeaseGrant &lease, const NicOptions &options)
{
    std::vector<std::string> backends;
    backends.reserve(lease.taps.size());
    for (const auto &tap : lease.taps)
        backends.push_back("ifname=" + escaped(tap.name) + ",script=no,downscript=no" +
                           (tap.queues > 1 ? ",queues=" + std::to_string(tap.queues) : ""));
    return pairs(lease, options, backends);
}

std::vector<std::string> qemu_args(const LeaseGrant &lease, const std::vector<TapDescriptors> &descriptors,
                                   const NicOptions &options)
{
    std::vector<std::string> backends;
    backends.reserve(descriptors.size());
    for (const auto &[queues, vhost] : descriptors)
        backends.push_back("fds=" + joined(queues) + (vhost.empty() ? "" : ",vhost=on,vhostfds=" + joined(vhost)));
    return pairs(lease, options, backends);
}

bool is_device_model(std::string_view text)
{
    const std::string alphanumeric{letters_and_digits};
    return !text.empty() && text.size() <= 255 && consists_of(text.substr(0, 1), alphanumeric) &&
           consists_of(text, alphanumeric + "._,=:/+@-");
}

std::string shell_line(const std::vector<std::string> &words)
{
    std::string line;
    for (const auto &word : words) {
        line += line.empty() ? "" : " ";
        if (!word.empty() && consists_of(word, std::string{letters_and_digits} + "._,=:/+@-")) {
            line += word;
            continue;
        }
        line += '\'';
        for (const char c : word)
            line += c == '\'' ? std::string{"'\\''"} : std::string(1, c);
        line += '\'';
    }
    return line;
}

} // namespace qemutap
