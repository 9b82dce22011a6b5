// SPDX-License-Identifier: MIT
//
// Follows how runqemu reads its arguments: it splits qemuparams= as sh(1) would, and puts bootparams= last on the
// guest's kernel command line, after the `ip=` that it writes for eth0.

#include "client/vmm/runqemu.hpp"

#include "client/guest/kernel_cmdline.hpp"
#include "client/guest/nic_order.hpp"
#include "client/vmm/command.hpp"
#include "common/error.hpp"
#include "common/quote.hpp"

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>
#include <utility>

namespace qemutap {

namespace {

constexpr std::string_view qemu_parameters = "qemuparams=";
constexpr std::string_view boot_parameters = "bootparams=";
// The NIC that runqemu adds if its settings have none.
constexpr std::string_view default_network_device = "-device virtio-net-pci,netdev=net0";

bool begins_with(std::string_view text, std::string_view beginning)
{
    return text.substr(0, beginning.size()) == beginning;
}

// The last argument with this key. If there is none, adds one with an empty value.
std::string &argument_of(std::vector<std::string> &arguments, std::string_view key)
{
    const auto last = std::find_if(arguments.rbegin(), arguments.rend(),
                                   [&](const std::string &argument) { return begins_with(argument, key); });
    if (last != arguments.rend())
        return *last;
    return arguments.emplace_back(key);
}

void add_words(std::vector<std::string> &words, std::string_view text)
{
    std::istringstream stream{std::string{text}};
    for (std::string word; stream >> word;)
        words.push_back(word);
}

// The value of a key in a text that Python's configparser wrote. Empty: the key is absent.
std::string_view value_of(std::string_view settings, std::string_view key)
{
    constexpr std::string_view blanks = " \t";
    for (std::size_t begin = 0; begin < settings.size();) {
        const auto end = std::min(settings.find('\n', begin), settings.size());
        const auto line = settings.substr(begin, end - begin);
        begin = end + 1;
        const auto equals = line.find('=');
        if (!begins_with(line, key) || equals == std::string_view::npos ||
            line.substr(key.size(), equals - key.size()).find_first_not_of(blanks) != std::string_view::npos)
            continue;
        const auto value = line.substr(equals + 1);
        return value.substr(std::min(value.find_first_not_of(blanks), value.size()));
    }
    return {};
}

// The kernel itself uses the last `ip=` and configures only the device that it names. This device must be eth0, so
// runqemu's word for eth0 is repeated.
std::vector<std::string> boot_words(const LeaseGrant &lease, unsigned first_nic)
{
    std::vector<std::string> words;
    const auto further = static_cast<unsigned>(lease.taps.size()) - 1;
    for (unsigned i = 0; i < further; ++i)
        words.push_back(ip_word(lease.taps[i + 1], first_nic + i, false));
    // If the lease's further NICs are the first ones, runqemu's NIC follows them.
    words.push_back(ip_word(lease.taps.front(), first_nic == 0 ? further : 0, true));
    words.emplace_back(lasting_nic_names);
    return words;
}

} // namespace

std::string tap_name_prefix(const TapGrant &tap)
{
    return tap.name.substr(0, tap.name.find_last_not_of("0123456789") + 1);
}

std::string lock_file(const TapGrant &tap)
{
    return "/tmp/qemu-tap-locks/" + tap.name + ".lock";
}

void require_tap_network(const std::vector<std::string> &arguments)
{
    constexpr std::array<std::pair<std::string_view, const char *>, 2> without_tap{{
        {"slirp", "user networking"},
        {"nonetwork", "no network"},
    }};
    for (const auto &argument : arguments) {
        for (const auto &[word, meaning] : without_tap)
            if (argument == word)
                throw TapError{ErrorCode::invalid_argument, "runqemu's " + quote(argument) + " means " + meaning +
                                                                ": start runqemu itself, or leave it out"};
        if (begins_with(argument, "bridge="))
            throw TapError{ErrorCode::invalid_argument,
                           "runqemu's " + quote(argument) +
                               " means a bridge in the place of a tap: start runqemu itself, or leave it out"};
    }
}

// A script that locks taps chooses its tap itself, as each runqemu since Yocto 2.2 does, and these are in Python. If
// it does not read OE_TAP_NAME, it is older than June 2023 and looks for devices of the name tapN only. Any other
// script is a wrapper, and the runqemu that it calls may be a newer one, so it is not refused.
std::optional<std::string> runqemu_problem(std::string_view script)
{
    const auto contains = [](std::string_view text, std::string_view part) {
        return text.find(part) != std::string_view::npos;
    };
    const auto first_line = script.substr(0, script.find('\n'));
    const bool is_python = begins_with(first_line, "#!") && contains(first_line, "python");
    if (!is_python || !contains(script, "qemu-tap-locks") || contains(script, "OE_TAP_NAME"))
        return std::nullopt;
    return "it does not know OE_TAP_NAME and would make a tap with sudo; the runqemu of Yocto 4.3 or later is needed. "
           "An older one gets taps from: qemu-tapctl run --hold name -- runqemu ... slirp qemuparams=..., as "
           "qemu-tapctl(1) describes";
}

std::vector<std::string> qemu_words(std::string_view settings)
{
    std::vector<std::string> words;
    const auto program = value_of(settings, "qb_system_name");
    words.emplace_back(program.empty() ? "qemu" : program);
    const auto network_device = value_of(settings, "qb_network_device");
    add_words(words, network_device.empty() ? default_network_device : network_device);
    for (const std::string_view key : {"qb_opt_append", "qb_machine"})
        add_words(words, value_of(settings, key));
    return words;
}

RunqemuArguments with_further_taps(std::vector<std::string> arguments, const LeaseGrant &lease, NicOptions options,
                                   const std::optional<std::string> &settings)
{
    RunqemuArguments result{std::move(arguments), std::nullopt};
    if (lease.taps.size() == 1)
        return result;
    auto &parameters = argument_of(result.words, qemu_parameters);
    auto command = qemu_words(settings.value_or(""));
    add_words(command, parameters.substr(qemu_parameters.size()));
    const auto facts = look_at(command);
    if (options.device.empty())
        options.device = facts.nics.empty() ? NicOptions{}.device : model_beside(facts.machine, facts.nics.front());
    options.netdev = added_netdev;
    options.first_netdev = facts.first_free_netdev;
    auto further = lease;
    further.taps.erase(further.taps.begin());
    parameters += (parameters == qemu_parameters ? "" : " ") + shell_line(qemu_args(further, options));

    const auto order = nic_order(facts.machine, facts.nics, options.device, static_cast<unsigned>(further.taps.size()));
    const unsigned first_nic = options.first_nic.value_or(order.first);
    if ((!order.is_certain || !settings) && !options.first_nic)
        result.warning = order_warning(first_nic, further.taps.front().name);
    const auto words = boot_words(lease, first_nic);
    auto &boot = argument_of(result.words, boot_parameters);
    if (const auto extended = with_words(boot.substr(boot_parameters.size()), words))
        boot = std::string{boot_parameters} + *extended;
    else
        result.warning =
            "bootparams= has an ip= already and was left as it is; the guest would need " + *with_words("", words);
    return result;
}

} // namespace qemutap
