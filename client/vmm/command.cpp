// SPDX-License-Identifier: MIT
//
// QEMU's options take one value each, except for the options in this file's table, which take none (qemu(1)). With that
// table the parser never mistakes a value for an option.

#include "client/vmm/command.hpp"

#include "client/guest/kernel_cmdline.hpp"
#include "client/vmm/args.hpp"
#include "contract/request.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>

namespace qemutap {

namespace {

constexpr std::array<std::string_view, 42> options_without_value{
    "h",
    "help",
    "version",
    "snapshot",
    "no-fd-bootchk",
    "no-acpi",
    "no-hpet",
    "no-reboot",
    "no-shutdown",
    "S",
    "s",
    "nographic",
    "curses",
    "sdl",
    "full-screen",
    "no-quit",
    "alt-grab",
    "ctrl-grab",
    "no-frame",
    "enable-kvm",
    "usb",
    "daemonize",
    "preconfig",
    "nodefaults",
    "no-user-config",
    "nouserconfig",
    "singlestep",
    "mem-prealloc",
    "only-migratable",
    "old-param",
    "semihosting",
    "win2k-hack",
    "enable-fips",
    "enable-sync-profile",
    "xen-attach",
    "xen-domid-restrict",
    "async-teardown",
    "rtc-td-hack",
    "portrait",
    "audio-help",
    "perfmap",
    "jitdump",
};

// Beginnings of NIC models. A -device of another model is a NIC only if it has netdev=.
constexpr std::array<std::string_view, 13> nic_models{
    "virtio-net", "e1000", "rtl8139", "vmxnet3", "ne2k",   "pcnet",  "i825",
    "i828",       "igb",   "usb-net", "tulip",   "sunhme", "rocker",
};

// The name of an option. QEMU accepts one dash and two dashes before it.
std::optional<std::string_view> option_name(std::string_view word)
{
    if (word.size() < 2 || word.front() != '-')
        return std::nullopt;
    word.remove_prefix(1);
    if (word.front() == '-')
        word.remove_prefix(1);
    return word;
}

bool starts_with_any(std::string_view text, const auto &beginnings)
{
    return std::any_of(beginnings.begin(), beginnings.end(),
                       [&](std::string_view beginning) { return text.substr(0, beginning.size()) == beginning; });
}

// The model in the value of -device, which is model,property=value..., has driver=model as a property, or is a JSON
// object.
std::string_view model_of(std::string_view value)
{
    for (const std::string_view key : {"\"driver\"", "driver="})
        if (const auto at = value.find(key); at != std::string_view::npos) {
            value.remove_prefix(at + key.size());
            value.remove_prefix(std::min(value.find_first_not_of(" :\""), value.size()));
            break;
        }
    return value.substr(0, value.find_first_of(",\""));
}

// The value of a property, in the comma form or the JSON form. Empty: the property is absent.
std::string_view property(std::string_view value, std::string_view key)
{
    for (const auto &mark : {"," + std::string{key} + "=", "\"" + std::string{key} + "\""})
        if (const auto at = value.find(mark); at != std::string_view::npos) {
            value.remove_prefix(at + mark.size());
            value.remove_prefix(std::min(value.find_first_not_of(" :\""), value.size()));
            return value.substr(0, value.find_first_of(",\"}"));
        }
    return {};
}

// Reads a NIC from its option's value. In -nic and -net the model is a property, and without it the machine chooses.
// `backend` is a netdev's id at first, but the whole value for -nic, which needs no netdev.
OwnNic own_nic(std::string_view option, std::string_view value)
{
    const bool is_device = option == "device";
    return {.model = std::string{is_device ? model_of(value) : property(value, "model")},
            .bus = std::string{property(value, "bus")},
            .has_address = !property(value, "addr").empty(),
            .is_machines = !is_device,
            .backend = std::string{option == "nic" ? value : property(value, "netdev")}};
}

// The architecture in a QEMU's name or path, such as arm in qemu-system-arm. Empty: the word names no QEMU.
std::string_view architecture_of(std::string_view word)
{
    constexpr std::string_view name = "qemu-system-";
    word.remove_prefix(word.find_last_of('/') == std::string_view::npos ? 0 : word.find_last_of('/') + 1);
    if (word == "qemu-kvm")
        return "x86_64";
    const bool is_name = word.substr(0, name.size()) == name && word.find(' ') == std::string_view::npos;
    return is_name ? word.substr(name.size()) : std::string_view{};
}

std::string_view machine_type(std::string_view value)
{
    constexpr std::string_view key = "type=";
    return value.substr(0, key.size()) == key ? value.substr(key.size()) : value;
}

void note_program(std::string_view word, Machine &machine)
{
    if (machine.architecture.empty())
        machine.architecture = architecture_of(word);
}

bool is_nic(std::string_view option, std::string_view value)
{
    if (option == "nic")
        return value.substr(0, value.find(',')) != "none";
    if (option == "net")
        return value.substr(0, value.find(',')) == "nic";
    if (option != "device")
        return false;
    return starts_with_any(model_of(value), nic_models) || value.find(",netdev=") != std::string_view::npos ||
           value.find("\"netdev\"") != std::string_view::npos;
}

bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

// Collects each number that follows `stem` in the value. Longer numbers than nine digits are skipped: first_free()
// never reaches them.
void note_numbers(std::string_view stem, std::string_view value, std::set<unsigned> &numbers)
{
    constexpr std::size_t most_digits = 9;
    for (auto at = value.find(stem); at != std::string_view::npos; at = value.find(stem, at + 1)) {
        unsigned number = 0;
        auto i = at + stem.size();
        const auto first_digit = i;
        for (; i < value.size() && value[i] >= '0' && value[i] <= '9' && i - first_digit < most_digits; ++i)
            number = number * 10 + static_cast<unsigned>(value[i] - '0');
        const bool whole_word =
            (at == 0 || !is_alphanumeric(value[at - 1])) && (i == value.size() || !is_alphanumeric(value[i]));
        if (i > first_digit && whole_word)
            numbers.insert(number);
    }
}

// The number after the highest one in use. Very high numbers, which no caller reaches by counting, only have to be kept
// free.
unsigned first_free(const std::set<unsigned> &numbers)
{
    constexpr unsigned counted = 1'000'000;
    unsigned free = 0;
    for (const auto number : numbers)
        if (number < counted || number < free + max_count)
            free = number + 1;
    return free;
}

} // namespace

CommandFacts look_at(const std::vector<std::string> &command)
{
    CommandFacts facts;
    std::map<std::string_view, std::string_view> backends; // by id
    std::set<unsigned> netdevs;
    std::set<unsigned> mmio_buses;
    // Only the first word "kvm" is QEMU: a later word "kvm" may be a group.
    note_program(command.front() == "kvm" ? "qemu-kvm" : command.front(), facts.machine);
    for (std::size_t i = 1; i < command.size(); ++i) {
        const auto option = option_name(command[i]);
        if (!option)
            note_program(command[i], facts.machine);
        if (!option || i + 1 == command.size() ||
            std::find(options_without_value.begin(), options_without_value.end(), *option) !=
                options_without_value.end())
            continue;
        // A wrapper's option before QEMU may have no value. Skipping a word does no harm then: the word is another
        // wrapper's, or it is QEMU's name, which note_program() reads below.
        const std::string_view value = command[++i];
        note_program(value, facts.machine);
        if (*option == "kernel")
            facts.has_kernel = true;
        else if (*option == "append")
            facts.append = i;
        else if (*option == "machine" || *option == "M")
            facts.machine.type = machine_type(value);
        else if (*option == "readconfig")
            facts.may_hide_nics = true;
        else if (*option == "netdev")
            backends[property(value, "id")] = value;
        if (is_nic(*option, value))
            facts.nics.push_back(own_nic(*option, value));
        if (*option == "netdev" || *option == "device" || *option == "nic" || *option == "net")
            note_numbers(added_netdev, value, netdevs);
        if (*option == "device")
            note_numbers(mmio_bus, value, mmio_buses);
    }
    for (auto &nic : facts.nics)
        if (const auto backend = backends.find(nic.backend); backend != backends.end())
            nic.backend = backend->second;
    facts.first_free_netdev = first_free(netdevs);
    facts.first_free_mmio_bus = first_free(mmio_buses);
    return facts;
}

MergedCommand merge(std::vector<std::string> command, const CommandFacts &facts,
                    const std::vector<std::string> &qemu_args, const std::vector<std::string> &cmdline)
{
    MergedCommand merged{std::move(command), std::nullopt};
    merged.words.insert(merged.words.end(), qemu_args.begin(), qemu_args.end());
    if (!facts.has_kernel) {
        merged.warning =
            "no -kernel is in the command, so no ip= was added; the guest would need " + *with_words("", cmdline);
        return merged;
    }
    if (!facts.append) {
        merged.words.insert(merged.words.end(), {"-append", *with_words("", cmdline)});
        return merged;
    }
    auto &append = merged.words.at(*facts.append);
    if (auto extended = with_words(append, cmdline))
        append = std::move(*extended);
    else
        merged.warning =
            "-append has an ip= already and was left as it is; the guest would need " + *with_words("", cmdline);
    return merged;
}

} // namespace qemutap
